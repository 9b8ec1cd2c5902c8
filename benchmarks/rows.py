"""What is measured, one row a figure: calls, ways to start a process, numbers of guests at once, and workloads.

Decides names, titles and commands.  How often each runs, and beside what, is decided in ``measure.py``; the calls themselves
are in ``probe.c``, under the same names.  A row that is not ``quick`` is left to ``--all``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure that the probe prints: its name there and what the tables call it."""

    name: str
    title: str = ""
    quick: bool = True


CALLS = (
    Figure("stat", "stat, six components"),
    Figure("stat-stop", "the same by syscall(2), which pyroot cannot answer inside the guest"),
    Figure("stat-1", "stat, one component"),
    Figure("stat-3", "stat, three components"),
    Figure("stat-10", "stat, ten components"),
    Figure("stat-link", "stat, six components, the third a link"),
    Figure("stat-missing", "stat of a name that is not there"),
    Figure("stat-relative", "stat, from the working directory"),
    Figure("stat-way", "stat, five names from the working directory"),
    Figure("stat-dirfd", "stat, from a directory descriptor"),
    Figure("lstat", "lstat of a link"),
    Figure("statx"),
    Figure("fstat-empty-path", "fstat as glibc makes it (an empty path)"),
    Figure("open+close"),
    Figure("open-relative", "open+close, from the working directory"),
    Figure("access"),
    Figure("readlink"),
    Figure("readlink-file", "readlink of a file (EINVAL)"),
    Figure("readlink-directory", "readlink of a directory (EINVAL), as realpath makes it"),
    Figure("getcwd"),
    Figure("chdir"),
    Figure("mkdir+rmdir"),
    Figure("rename", "rename, there and back"),
    Figure("symlink+unlink"),
    Figure("connect", "connect to an AF_UNIX socket"),
    Figure("getppid"),
    Figure("read", "read of no byte"),
)

#: Those that are measured again in views with many bindings.
CALLS_WITH_BINDINGS = ("stat", "open+close", "access", "readlink")

STARTS = (
    Figure("exec-static", "fork+exec+wait, static"),
    Figure("exec-dynamic", "fork+exec+wait, dynamic"),
    Figure("exec-script", "fork+exec+wait, script of a static program"),
    Figure("vfork-static", "vfork+exec+wait, static"),
    Figure("vfork-dynamic", "vfork+exec+wait, dynamic"),
    Figure("spawn-dynamic", "posix_spawn+wait, dynamic"),
    Figure("fork", "fork+wait"),
)

SCALES = tuple(
    Figure(f"{kind}-{n}", f"{n} {one if n == 1 else kind} in stat", n < 4)
    for one, kind in (("thread", "threads"), ("process", "processes")) for n in (1, 2, 4)
)  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """A command for a shell in the work directory of the root (see root.py).

    ``before`` is run in front of each turn, natively and unmeasured; ``tree`` are the parts of the work directory that root.py
    has to make.  A command that fails natively, because the host lacks a program, is left out and named.
    """

    name: str
    command: str
    before: str = ""
    tree: str = ""
    quick: bool = True


PYTHON_MODULES = "asyncio, email.message, http.client, json, unittest, urllib.request, xml.dom.minidom"

WORKLOADS = (
    Workload("find", "find tree tree tree tree tree tree tree tree", tree="tree"),
    Workload("ls -lR", "ls -lR tree tree tree tree", tree="tree"),
    Workload("tar", "tar cf - tree tree | cat >/dev/null", tree="tree"),
    Workload("grep -r", "! grep -r no-such-word tree tree", tree="tree"),
    Workload("cp -a", "cp -a tree copy", before="rm -rf copy", tree="tree"),
    Workload("rm -rf", "rm -rf copy", before="rm -rf copy; cp -a tree copy", tree="tree"),
    Workload("du", "du -s tree tree", tree="tree", quick=False),
    Workload("git status", "git -C repository status --short", before="touch repository/tree/*/*", tree="tree repository"),
    Workload("git clone", "git clone -q --no-hardlinks repository clone", before="rm -rf clone", tree="tree repository",
             quick=False),
    Workload("python imports", f"{{python}} -I -c 'import {PYTHON_MODULES}'"),
    Workload("compileall", "{python} -I -m compileall -q modules", before="rm -rf modules/__pycache__", tree="modules"),
    Workload("pip install", "{python} -I -m pip -q --no-cache-dir --disable-pip-version-check install --no-index --no-deps "
             "--no-compile --target=site wheels/*.whl", before="rm -rf site", tree="wheels"),
    Workload("configure", "cd project && ./configure", before="cd project && make -s clean", tree="project"),
    Workload("make -j1", "cd project && make -s", before="cd project && ./configure && make -s clean", tree="project",
             quick=False),
    Workload("make -j2", "cd project && make -s -j2", before="cd project && ./configure && make -s clean",
             tree="project"),
    Workload("sqlite", "{python} -I database.py", before="rm -f database.db*"),
    Workload("CPU-bound", "{python} -I -c 'sum(i * i for i in range(2000000))'"),
    Workload("pipe-bound", "head -c 300000000 /dev/zero | cat | wc -c"),
    Workload("200 x /bin/true", "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i + 1)); done"),
    Workload("120 x subprocess.run", "{python} -I subprocesses.py"),
    Workload("four threads that stat", "{python} -I threads.py"),
)


@dataclass(frozen=True)
class Trace:
    """A workload that is traced: by `pyroot trace` in the root, and by strace in a chroot.  ``calls`` is the value of -e trace=."""

    name: str
    calls: str
    workload: Workload


TRACES = (
    Trace("path calls of ls -lR", "%file", Workload("ls -lR", "ls -lR tree tree tree tree tree tree tree tree", tree="tree")),
    Trace("path calls of find", "%file", Workload("find", "find tree tree tree tree tree tree tree tree -size +1k", tree="tree")),
    Trace("all calls of dd", "all", Workload("dd", "dd if=/dev/zero of=/dev/null bs=1 count=60000 2>/dev/null")),
)

#: What two-figure sums are called in bounds.json and in the tables.
GEOMETRIC_MEAN = "geometric mean of the workloads"
MEMORY = "peak memory, MiB"
START = "start-up"
DOCTOR = "doctor of a small root"
#: What that root is made of.
SMALL_ROOT = ("sh", "ls", "cat", "env", "mkdir")
