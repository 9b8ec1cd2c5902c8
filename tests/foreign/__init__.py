"""Other projects' test suites in a real chroot and under pyroot: what fails under pyroot alone is pyroot's fault."""
