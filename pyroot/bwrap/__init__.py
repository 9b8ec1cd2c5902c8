"""bubblewrap's command line (`pyroot bwrap`, or the command called `bwrap`): its arguments, and what they mean to a run."""
