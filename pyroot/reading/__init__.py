"""How a root is read from outside: the files that a run would show, and what programs in it need. One door (`door`) for all readers."""
