# Two targets do all the set-up: `make demo` and `make test`.  The work is in scripts/dev; this file only names it.

ARGS ?=

.PHONY: help demo test conditions profiles oracle sanitize fuzz soak mutate foreign programs fakeroot lint bench wheel man clean

help:
	@echo 'make demo     build pyroot, make a small root file system in ./rootfs, run `ls /` in it'
	@echo 'make test     install what the tests need, run them   (ARGS="-k name -x" to choose)'
	@echo 'make conditions the tests under conditions of all kinds, and a table   (ARGS="tmpfs busy -- -k name")'
	@echo 'make profiles the table of docs/CONTAINERS.md, anew'
	@echo 'make oracle   compare with a real chroot at length (as root)'
	@echo 'make sanitize the tests with a core that ASan and UBSan watch   (ARGS=fuzz: the fuzzers)'
	@echo 'make fuzz     random input   (ARGS="calls --seconds 600 --seed 1"; names: calls programs programs32 views race pointers ways ... all)'
	@echo 'make soak     all of that for 10 CPU minutes each, with both builds; goes on where it was stopped   (ARGS="--minutes 1")'
	@echo 'make mutate   take the checks of the translator out one by one: does a test notice?   (ARGS=--list)'
	@echo "make foreign  Python's own tests in a real chroot and under pyroot   (as root; ARGS=test_os)"
	@echo 'make programs everyday programs in a Debian root, in a real chroot and under pyroot   (as root; ARGS="vim servers")'
	@echo 'make fakeroot what root does (package managers, users, servers), as real root and as fake root   (as root; ARGS="dpkg apt")'
	@echo 'make lint     the linters and type checks only'
	@echo 'make bench    the benchmarks   (ARGS=--quick)'
	@echo 'make wheel    build a wheel into dist/'
	@echo 'make man      write docs/man/pyroot.1 anew from the option table'
	@echo 'make clean    remove what the targets above have made'

demo test conditions profiles oracle sanitize fuzz soak mutate foreign programs fakeroot lint bench wheel man clean:
	@bash scripts/dev $@ $(ARGS)
