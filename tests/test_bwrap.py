"""`pyroot bwrap`: bubblewrap's arguments do what they do there, and nothing below a protected path can be changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import helpers, profiles
from tests.oracle.build import compile_program
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

    Run = Callable[..., Result]

WAYS = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no-filter": {"PYROOT_NO_SECCOMP": "1"}}
USR = ["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"]
FORMATS = {"child-pid": r'"child-pid": \d+(,\s*"\w+-namespace": \d+)*'}


def agent(work: str) -> list[str]:
    """Return the list that coding agents' sandboxes build."""
    return ["--ro-bind", "/", "/", "--bind", work, work, "--ro-bind", f"{work}/.git", f"{work}/.git", "--dev", "/dev", "--proc", "/proc",
            "--tmpfs", "/tmp", "--unshare-user-try", "--die-with-parent", "--new-session"]


@pytest.fixture
def work() -> Iterator[str]:
    """Make a directory of the user with things to protect."""
    top = directory_for_user()
    for name in ("w/.git/refs", "w/sub"):
        os.makedirs(f"{top}/{name}")
    for name in ("w/.git/config", "w/.git/refs/one", "w/.env", "w/f", "w/sub/s"):
        with open(f"{top}/{name}", "w", encoding="ascii") as file:
            file.write(f"{name}\n")
    os.symlink(".git", f"{top}/w/way")
    give(top)
    yield f"{top}/w"
    remove(top)


def tree(path: str) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time and content of all that is there."""
    found = {}
    for directory, names, files in os.walk(path):
        for name in [*names, *files]:
            at = f"{directory}/{name}"
            st = os.lstat(at)
            content = b""
            if os.path.isfile(at) and not os.path.islink(at):
                with open(at, "rb") as file:
                    content = file.read()
            found[at] = (st.st_mode, st.st_mtime_ns, content)
    return found


ATTACKS = (
    "echo x > .git/new", "echo x >> .git/config", "echo x > .git/config", "rm -rf .git", "rmdir .git/refs", "mv .git g", "mv f .git/f",
    "mv f .git/config", "mv .git/config c", "ln f .git/l", "ln .git/config c", "cd .. && mv w v", "chmod 777 .git .git/config",
    "touch -d @1 .git .git/config", "mkdir .git/d", "mkfifo .git/p", "ln -s x .git/s", "truncate -s 0 .git/config", "echo x > way/new",
    "echo x >> way/config", "cp f way/refs/one", "echo x > /proc/self/root$PWD/.git/r", "echo x > /proc/self/cwd/.git/c",
    "exec 3< .git/config; echo x >> /proc/self/fd/3", "exec 3< .git/config; echo x > /dev/fd/3", "exec 4< .git; echo x > /proc/self/fd/4/n",
    "cd .git && echo x > here", "cd .git/refs && echo x > ../here", "mv sub .git", "mv -T sub .git", "echo x > sub/../.git/up",
    "cp -a f .git/refs/one", "install -m 755 f .git/config", "sed -i s/w/x/ .git/config", "dd if=f of=.git/config conv=notrunc",
    "perl -e 'rename(\"f\", \".git/config\"); unlink(\".git/config\"); utime(1, 1, \".git/config\"); link(\"f\", \".git/k\")'",
    "sh -c 'cd /proc/$PPID/cwd/.git && echo x > here'", "echo x > /proc/$$/root$PWD/.git/r", "mknod .git/n p", "mv .git/refs .git/r",
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_nothing_below_a_protected_path_is_changed(run_pyroot: Run, work: str, way: str) -> None:
    before = tree(f"{work}/.git")
    script = f"{'; '.join(f'({attack})' for attack in ATTACKS)}; echo made > made; cat .git/config made"
    done = run_pyroot(["bwrap", *agent(work), "sh", "-c", script], environment={**WAYS[way], "PATH": os.defpath}, cwd=work)
    assert (done.status, done.stdout.splitlines()[-2:]) == (0, ["w/.git/config", "made"]), done.stderr
    assert tree(f"{work}/.git") == before


@pytest.mark.parametrize("name", [name for name in profiles.NAMES if not name.startswith("containerd")])
def test_it_serves_where_a_container_lets_nobody_make_name_spaces(pyroot_words: list[str], work: str, name: str) -> None:
    refuse = compile_program([f"{helpers.PROJECT}/tests/programs/refuse.c"], name="refuse")
    environment = {**helpers.pyroot_command()[1], "PATH": os.defpath}
    words = [refuse, *profiles.read(name).rules(), "--", *pyroot_words, "bwrap", *agent(work)]
    script = "echo in > sub/new; echo x > .git/config; cat sub/new .git/config"
    done = helpers.run([*words, "sh", "-c", script], environment=environment, cwd=work)
    assert (done.status, done.stdout) == (0, "in\nw/.git/config\n")


# -- the same as bubblewrap's --------------------------------------------------------------------------------------------------------

CASES: list[tuple[list[str], str]] = [
    (USR, "ls -A /; echo x > /new; cat /new; rm /bin; ls -A /; stat -c %a /"),
    ([*USR, "--dir", "/a/b/c", "--tmpfs", "/t", "--dir", "/t/x/y"],
     "stat -c %a /a /a/b/c /t /t/x; rmdir /a/b/c /t/x/y /t/x; rmdir /t; ls -A /t"),
    ([*USR, "--perms", "1777", "--tmpfs", "/t", "--chmod", "0711", "/t", "--perms", "0700", "--dir", "/d"], "stat -c '%a %n' /t /d"),
    ([*USR, "--tmpfs", "/t", "--dir", "/t/d", "--remount-ro", "/t"], "echo x > /t/n; rmdir /t/d; ls -A /t"),
    ([*USR, "--proc", "/proc", "--dev", "/dev"],
     "head -c4 /dev/zero | wc -c; ls -A /dev; readlink /dev/stdin; echo x > /dev/shm/a; cat /dev/shm/a"),
    ([*USR, "--bind", "{w}", "/w", "--tmpfs", "/w/sub"], "ls -A /w; echo t > /w/sub/f; ls /w/sub; rmdir /w/sub"),
    ([*USR, "--bind", "{w}/sub", "/w/x", "--bind", "{w}", "/w"], "ls -A /w; ls /w/x"),
    ([*USR, "--ro-bind", "{w}", "/w", "--bind", "{w}/sub", "/w/sub"],
     "echo x > /w/no; echo y > /w/sub/y; mv /w/f /w/sub/; mv /w/sub /w/bus; ls -A /w/sub"),
    ([*USR, "--bind-try", "/nonexistent", "/n", "--ro-bind-try", "{w}", "/w"], "ls /; ls /w"),
    ([*USR, "--bind", "/nonexistent", "/n"], "ls /"),
    ([*USR, "--tmpfs", "/x", "--symlink", "../usr", "/x/l"], "readlink /x/l; rm /x/l; ls -A /x"),
    ([*USR, "--ro-bind", "{w}/f", "/file", "--bind", "{w}/f", "/d/e/file"],
     "cat /file; echo n > /file; echo n > /d/e/file; cat /file; rm /file"),
    ([*USR, "--file", "{data}", "/f1"], "cat /f1; stat -c %a /f1; rm /f1; ls -A /f1"),
    ([*USR, "--bind-data", "{data}", "/f1"], "cat /f1; stat -c %a /f1; echo z > /f1; rm /f1; cat /f1"),
    ([*USR, "--ro-bind-data", "{data}", "/f1"], "cat /f1; echo z > /f1; cat /f1"),
    ([*USR, "--ro-bind", "{w}", "rel", "--dir", "/usr"], "ls /rel; pwd"),
    (["{agent}", "--chdir", "{w}/sub"], "pwd; echo $PWD"),
    (["{agent}", "--chdir", "/nonexistent"], "pwd"),
    (["{agent}", "--clearenv", "--setenv", "A", "1", "--setenv", "B", "2", "--unsetenv", "B"], "/usr/bin/env | grep -v -e ^_= -e SHLVL"),
    (["{agent}"], "exit 7"),
    (["{agent}"], "kill -9 $$"),
    (["{agent}", "--unshare-uts", "--hostname", "foo"], "uname -n"),
    (["{agent}", "--unshare-user", "--uid", "1234", "--gid", "567"], "id -u; id -g; stat -c '%u %g' {w}"),
    (["{agent}", "--args", "{args}"], "pwd; echo $Z"),
    (["{agent}", "--info-fd", "{out}"], "ls /proc/self/fd | wc -l"),
    (["{agent}", "--json-status-fd", "{out}"], "exit 3"),
    (["{agent}", "--sync-fd", "{data}", "--lock-file", "{w}/f"], "ls /proc/self/fd | wc -l"),
    (["{agent}", "--block-fd", "{data}"], "ls /proc/self/fd | wc -l"),
    (["{agent}", "--remount-ro", "{w}"], "echo x > {w}/n; ls -A {w}"),
    (["--tmpfs", "/", *USR, "--cap-drop", "ALL"], "ls /"),
    (["--nonsense"], "true"),
    (["--bind", "/"], ""),
]  # fmt: skip


TEXTS = {"{data}": b"data\n", "{args}": b"--chdir\0/usr\0--setenv\0Z\0zed\0"}


class Pipes:
    """Descriptors that a case hands over."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self.told = -1

    def put(self, text: bytes) -> str:
        """Give one that holds a text."""
        reader, writer = os.pipe()
        os.write(writer, text)
        os.close(writer)
        self.given.append(reader)
        return str(reader)

    def take(self) -> str:
        """Give one to write to."""
        self.told, writer = os.pipe()
        self.given.append(writer)
        return str(writer)

    def close(self) -> str:
        """Close all of them; return what was written."""
        for number in self.given:
            os.close(number)
        text = ""
        if self.told >= 0:
            with open(self.told, encoding="ascii") as file:
                text = file.read()
        return text


def ended(command: list[str], case: tuple[list[str], str], work: str) -> tuple[int, str, str, list[str]]:
    """Run a case: exit code, output, what was told through a descriptor, names that are there afterwards."""
    pipes = Pipes()
    words: list[str] = []
    for word in case[0]:
        if word == "{agent}":
            words += agent(work)
        elif word == "{out}":
            words.append(pipes.take())
        else:
            words.append(pipes.put(TEXTS[word]) if word in TEXTS else word.replace("{w}", work))
    tail = ["sh", "-c", case[1].replace("{w}", work)] if case[1] else []
    base = {**helpers.pyroot_command()[1], "PATH": os.defpath, "HOME": "/usr", "LANG": "C"}
    done = subprocess.run([*command, *words, *tail], env=base, cwd=work, pass_fds=pipes.given, capture_output=True, text=True, check=False,
                          timeout=helpers.TIME_LIMIT, preexec_fn=helpers.drop_to_ordinary_user)
    told = re.sub(FORMATS["child-pid"], '"child-pid": N', pipes.close())
    return done.returncode, done.stdout, told, sorted(tree(work))


@pytest.fixture(scope="module")
def bwrap() -> list[str]:
    """Return bubblewrap's own command, where it works for an ordinary user."""
    own = shutil.which("bwrap")
    if own is None:
        pytest.skip("bubblewrap is not installed")
    probe = [own, "--ro-bind", "/", "/", "true"]
    if subprocess.run(probe, check=False, capture_output=True, preexec_fn=helpers.drop_to_ordinary_user, cwd="/").returncode:
        pytest.skip("bubblewrap cannot make name spaces here")
    return [own]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[re.sub(r"[^\w-]+", "_", " ".join(case[0])[-30:]) for case in CASES])
def test_it_does_what_bubblewrap_does(pyroot_words: list[str], bwrap: list[str], work: str, number: int) -> None:
    before = shutil.copytree(work, f"{work}-kept", symlinks=True)
    real = ended(bwrap, CASES[number], work)
    shutil.rmtree(work)
    os.rename(before, work)
    give(os.path.dirname(work))
    assert ended([*pyroot_words, "bwrap"], CASES[number], work) == real


# -- what is pyroot's own ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "says"), [
    (["--unshare-pid", "--unshare-net"], "--unshare-pid, --unshare-net: pyroot makes no name spaces"),
    (["--unshare-all"], "--unshare-all: pyroot makes no name spaces"),
    (["--unshare-all", "--share-net"], "--unshare-ipc, --unshare-pid: pyroot"),
    (["--userns", "5"], "no name spaces"), (["--seccomp", "5"], "loads no filter"), (["--size", "5", "--tmpfs", "/x"], "cannot be limited"),
    (["--as-pid-1"], "no name spaces"),
])  # fmt: skip
def test_what_nobody_would_keep_is_refused_unless_the_user_does_not_mind(run_pyroot: Run, words: list[str], says: str) -> None:
    with open(os.devnull, "rb") as null:
        words = [str(null.fileno()) if word == "5" and words[0] == "--seccomp" else word for word in words]
        done = run_pyroot(["bwrap", "--ro-bind", "/", "/", *words, "echo", "ran"])
        assert (done.status, done.stdout, says in done.stderr) == (1, "", True), done.stderr
    if words[0] != "--seccomp":
        done = run_pyroot(["bwrap", "--ro-bind", "/", "/", *words, "echo", "ran"],
                          environment={"PYROOT_BWRAP_LENIENT": "1", "PATH": os.defpath})
        assert (done.status, done.stdout, done.stderr) == (0, "ran\n", "")


def test_overlays_have_the_last_source_on_top(run_pyroot: Run, work: str) -> None:
    sources = ["--overlay-src", f"{work}/sub", "--overlay-src", f"{work}/.git"]
    script = "ls -A /mnt; echo x > /mnt/s; cat /mnt/s"
    done = run_pyroot(["bwrap", "--ro-bind", "/", "/", *sources, "--tmp-overlay", "/mnt", "sh", "-c", script])
    assert done.stdout == "config\nrefs\ns\nx\n", done.stderr
    done = run_pyroot(["bwrap", "--ro-bind", "/", "/", *sources, "--ro-overlay", "/mnt", "sh", "-c", "cat /mnt/s; echo x > /mnt/s"])
    assert (done.stdout, "ead-only" in done.stderr) == ("w/sub/s\n", True)
    upper = ["--overlay-src", f"{work}/sub", "--overlay", f"{work}/up", f"{work}/wk", "/mnt"]
    done = run_pyroot(["bwrap", "--ro-bind", "/", "/", *upper, "sh", "-c", "echo x >> /mnt/s"])
    with open(f"{work}/up/s", encoding="ascii") as changed, open(f"{work}/sub/s", encoding="ascii") as lower:
        assert (done.stderr, changed.read(), lower.read()) == ("", "w/sub/s\nx\n", "w/sub/s\n")


def test_the_command_has_another_name_and_its_status_is_told(run_pyroot: Run) -> None:
    done = run_pyroot(["bwrap", "--ro-bind", "/", "/", "--argv0", "other", "sh", "-c", "echo $0; cat /proc/$$/cmdline | tr '\\0' ' '"])
    assert done.stdout.startswith("sh\nother -c ") or done.stdout.startswith("other\nother -c "), done.stdout
    assert run_pyroot(["bwrap", "--version"]).stdout.startswith("bubblewrap 0.")
    assert "--ro-bind SRC DEST" in run_pyroot(["bwrap", "--help"]).stdout
    assert run_pyroot(["bwrap", "--ro-bind", "/", "/", "no-such-program"]).status == 1


def test_what_is_made_in_a_directory_of_the_session_is_a_part_of_it(run_pyroot: Run, busybox_root: str) -> None:
    words = ["-r", busybox_root, "--tmpfs", "/mnt", "--dir", "/mnt/a/b", "--symlink", "a:/mnt/l", "-b", "/bin:/mnt/deep/bin"]
    done = run_pyroot([*words, "/bin/sh", "-c", "cd /mnt; ls; rm l; rmdir a/b a; echo x > deep/f; ls deep"])
    assert (done.stdout, done.stderr) == ("a\ndeep\nl\nbin\nf\n", "")
