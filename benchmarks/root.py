"""The root file system that all sides run in, and the work directory of the workloads.

Decides what lies in it.  Root mounts the host's own programs into it (in a name space of its own, so that nobody else sees that),
and then every side meets one and the same tree.  An ordinary user cannot: there pyroot and its peers bind those directories, and the
native side works on the same files by their host paths.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import subprocess
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
NOBODY = 65534
#: Host directories that hold programs and what they need.
TOOLS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/dev", "/proc")
DEEP = "one/two/three/four/five"
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18


class SetupError(Exception):
    """The benchmark cannot be run here; the text says why, ``hint`` what to do."""

    def __init__(self, what: str, hint: str) -> None:
        """Keep both lines."""
        super().__init__(what)
        self.hint = hint


def compile_probe(target: str, *options: str) -> str:
    """Compile the guest program to ``target`` and return it."""
    compiler = os.environ.get("CC") or "gcc"
    if shutil.which(compiler) is None:
        raise SetupError(f"no C compiler ({compiler})", "on Debian: apt-get install gcc libc6-dev")
    command = [compiler, "-O2", "-pthread", "-o", target, f"{HERE}/probe.c", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SetupError(f"the probe does not compile: {done.stdout.strip()}", "gcc and a static libc are needed")
    return target


def make_probe_root(base: str) -> str:
    """Make a root with the probe, linked statically and dynamically, with what it needs and the files that it looks at."""
    root = f"{base}/root"
    os.makedirs(f"{root}/probe")
    os.makedirs(f"{root}/{DEEP}/six/seven/eight/nine")
    for name in ("file", "one/two/file", f"{DEEP}/file", f"{DEEP}/six/seven/eight/nine/file"):
        with open(f"{root}/{name}", "w"):
            pass
    os.symlink("file", f"{root}/{DEEP}/link")
    os.symlink("three", f"{root}/one/two/link")
    compile_probe(f"{root}/probe/probe", "-static")
    compile_probe(f"{root}/probe/probe-dynamic")
    with open(f"{root}/probe/probe-script", "w") as script:
        script.write(f"#!{root if os.geteuid() else ''}/probe/probe nothing\n")
    os.chmod(f"{root}/probe/probe-script", 0o755)
    if os.geteuid():
        # an ordinary user's native side has host paths: that of the interpreter leads somewhere in a guest, too
        os.makedirs(f"{root}{base}")
        os.symlink("/", f"{root}{root}")
    os.chmod(f"{root}/{DEEP}", 0o777)
    os.makedirs(f"{root}/tmp", exist_ok=True)
    os.chmod(f"{root}/tmp", 0o1777)
    return root


def mount_tools(root: str) -> bool:
    """Show the host's tools below the root by real mounts that only this process and its children have; say whether that worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        return False
    return all(libc.mount(tool.encode(), (root + tool).encode(), None, MS_BIND | MS_REC, None) == 0 for tool in mount_points(root))


def mount_points(root: str) -> list[str]:
    """Make the places of the tools in the root; return those that are directories (a link, as of a merged /bin, is copied)."""
    places = []
    for tool in TOOLS:
        if os.path.islink(tool):
            if not os.path.lexists(root + tool):
                os.symlink(os.readlink(tool), root + tool)
        elif os.path.isdir(tool):
            os.makedirs(root + tool, exist_ok=True)
            places.append(tool)
    return places


def remove(base: str) -> None:
    """Remove the benchmark's directory, unless something is mounted in it: then it would be the host's files."""
    with open("/proc/self/mountinfo", "rb") as file:
        # a blank is written as four characters there, and so are a few others
        if any(line.split()[4].decode("unicode_escape").encode("latin-1").startswith(os.fsencode(base)) for line in file):
            raise SystemExit(f"benchmarks: {base} still has something mounted in it: it is left as it is")
    shutil.rmtree(base, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------ work directory

WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon".split()

CONFIGURE = r"""#!/bin/sh
# What a configure script spends its time on: many short-lived programs, and many compilations of nearly nothing.
set -e
: >config.h
for header in stdio stdlib string unistd fcntl errno math time signal sys/stat sys/wait sys/mman; do
    printf '#include <%s.h>\nint main(void) { return 0; }\n' $header >conftest.c
    if gcc -o conftest conftest.c 2>conftest.err && ./conftest; then
        name=$(echo "$header" | sed 'y%abcdefghijklmnopqrstuvwxyz/%ABCDEFGHIJKLMNOPQRSTUVWXYZ_%')
        echo "#define HAVE_${name}_H 1" >>config.h
    fi
    rm -f conftest conftest.c conftest.err
    test "$(expr "$header" : '.*')" -gt 0
    grep -q "$header" conftest.log 2>/dev/null || echo "$header" | cat >>conftest.log
    basename "$(pwd)/$header" >/dev/null
done
rm -f conftest.log
"""

MAKEFILE = """OBJECTS = $(addsuffix .o,$(basename $(wildcard part*.c)))
all: program
program: $(OBJECTS)
\tgcc -o $@ $(OBJECTS)
%.o: %.c config.h
\tgcc -O1 -c -o $@ $<
config.h:
\ttouch $@
clean:
\trm -f *.o program config.h
"""

SCRIPTS = {
    "database.py": """import sqlite3
connection = sqlite3.connect("database.db")
connection.execute("create table pairs (key integer primary key, value text)")
connection.commit()
for turn in range(40):
    connection.executemany("insert into pairs (value) values (?)", [(str(turn * i),) for i in range(50)])
    connection.commit()
assert connection.execute("select count(*) from pairs").fetchone() == (2000,)
""",
    "subprocesses.py": "import subprocess\nfor turn in range(120):\n    subprocess.run(['/bin/true'], check=True)\n",
    "threads.py": """import os, threading
def work():
    for turn in range(2500):
        os.stat("threads.py")
threads = [threading.Thread(target=work) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
""",
}


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Write a file with the directories that lead to it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def make_tree(work: str) -> None:
    """Make 120 directories with 1,800 files of text of a size as sources have it; some links."""
    rng = random.Random(7)
    for d in range(120):
        folder = f"{work}/tree/{WORDS[d % 20]}-{d // 20}" + ("/inner" if d % 3 == 0 else "")
        for f in range(15):
            lines = [" ".join(rng.choices(WORDS, k=12)) for _ in range(rng.randrange(5, 120))]
            write(f"{folder}/{WORDS[f]}.txt", "\n".join(lines) + "\n")
        os.symlink(f"{WORDS[0]}.txt", f"{folder}/link")


def make_modules(work: str) -> None:
    """Make 40 modules for Python's compiler."""
    for n in range(40):
        body = "".join(f"def {word}_{n}(a, b):\n    return [a * i + b for i in range({i})]\n" for i, word in enumerate(WORDS))
        write(f"{work}/modules/m{n}.py", body)


def make_wheels(work: str) -> None:
    """Make ten wheels of 30 modules each."""
    os.makedirs(f"{work}/wheels")
    for n in range(10):
        info = f"bench{n}-1.0.dist-info"
        with zipfile.ZipFile(f"{work}/wheels/bench{n}-1.0-py3-none-any.whl", "w") as wheel:
            for m in range(30):
                wheel.writestr(f"bench{n}/m{m}.py", f"VALUE = {m}\n" * 50)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: bench{n}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: pyroot\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")


def make_project(work: str) -> None:
    """Make a project of 30 small files in C."""
    write(f"{work}/project/configure", CONFIGURE, 0o755)
    write(f"{work}/project/Makefile", MAKEFILE)
    write(f"{work}/project/part0.c", "#include <stdio.h>\nint main(void) { return 0; }\n")
    for n in range(1, 30):
        text = f"int part{n}(int a) {{ return a * {n}; }}\n"
        write(f"{work}/project/part{n}.c", '#include "config.h"\n#include <stdlib.h>\n#include <string.h>\n' + text)


def make_repository(work: str) -> None:
    """Make a git repository of the tree."""
    shutil.copytree(f"{work}/tree", f"{work}/repository/tree", symlinks=True)
    git = ["git", "-C", f"{work}/repository", "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_work(root: str, parts: set[str]) -> str:
    """Make the parts of the work directory that are wanted, owned by the ordinary user, and return its path in the root."""
    work = f"{root}/work"
    os.makedirs(work, exist_ok=True)
    makers = {"tree": make_tree, "modules": make_modules, "wheels": make_wheels, "project": make_project, "repository": make_repository}
    for part, make in makers.items():
        if part in parts:
            make(work)
    for name, text in SCRIPTS.items():
        write(f"{work}/{name}", text)
    if os.geteuid() == 0:
        for folder, names, files in os.walk(work):
            for name in (".", *names, *files):
                os.lchown(os.path.join(folder, name), NOBODY, NOBODY)
    return "/work"
