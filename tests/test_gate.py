"""Calls that pyroot answers inside the guest (pyroot/guest/gate.c) look to programs like those that stop.

The programs make their calls from places of the form that is led through the gate. What they see is compared with a real chroot
where the suite is root, and with a run without the gate everywhere; ``--stats`` says that the gate was in use.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.conftest import session_of_pyroot
from tests.oracle.build import BuildError, compile_program
from tests.twins import may_chroot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
NAMES = ("gate_probe", "gate_storm", "gate_life")
ATTRIBUTE = "user.gate"
# In the root: where they are, and what they say.
LINKS = {
    "link": "f", "alink": "/f", "dlink": "d", "adlink": "/d", "dangling": "nothing", "loop": "loop", "up": "../f",
    "d/up": "../f", "d/far": "../../f", "d/self": ".", "d/parent": "..", "d/into": "../b/f", "d/abs": "/b/f", "d/slash": "f/",
    "chain": "chain2", "chain2": "d/up", "dup": "d/./", "d/e/two": "../../f", "d/e/dots": "./.././up", "via": "m/n/f",
    "tolink": "dlink/up", "d/name": "f", "many": "d/parent/d/self/up", "empty": "d//up",
}  # fmt: skip


@dataclass(frozen=True)
class Ground:
    """The root that the programs run in, and what is bound there."""

    root: str
    bindings: list[tuple[str, str]]
    missing: tuple[str, str]


def fill_root(base: str) -> None:
    """Make the tree that gate_probe.c walks through."""
    for directory in ("root", "root/d", "root/d/b", "root/d/e", "root/closed", "root/b", "root/m", "root/m/n", "root/proc", "root/tmp"):
        os.mkdir(f"{base}/{directory}")
    for host in ("b", "n", "g", "e"):
        os.mkdir(f"{base}/{host}")
        os.mkdir(f"{base}/{host}/d")
        for link, text in (("out", "/f"), ("back", "../f"), ("in", "d/f"), ("d/up", "../f"), ("d/far", "../../f")):
            os.symlink(text, f"{base}/{host}/{link}")
    for file in ("root/f", "root/mf", "root/d/f", "root/d/...", "root/...", "root/..d", "root/closed/f", "root/b/hidden", "one",
                 *(f"{host}/{file}" for host in "bnge" for file in ("f", "d/f"))):
        with open(f"{base}/{file}", "w") as output:
            output.write(f"contents of {file}\n")
    for link, text in LINKS.items():
        os.symlink(text, f"{base}/root/{link}")
    os.mkfifo(f"{base}/root/fifo")
    # a link whose text leads somewhere from the host's root, too
    for directory in (f"{base}/outside", f"{base}/root{base}/outside", f"{base}/root/swap/a"):
        os.makedirs(directory)
        with open(f"{directory}/f", "w") as output:
            output.write(directory)
    os.symlink(f"{base}/outside", f"{base}/root/swap/l")
    try:
        os.setxattr(f"{base}/root/f", ATTRIBUTE, b"value")
        os.setxattr(f"{base}/root/d/f", ATTRIBUTE, b"other")
    except OSError:
        # without attributes the calls have an error to tell
        pass


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Make a root with the programs, and directories that are bound into it."""
    base = tempfile.mkdtemp(prefix="pyroot-gate-")
    os.chmod(base, 0o755)
    fill_root(base)
    try:
        for name in NAMES:
            shutil.copy(compile_program([f"{PROGRAMS}/{name}.c"], "-static", "-pthread", name=name), f"{base}/root/{name}")
    except BuildError as error:
        pytest.skip(str(error))
    if os.geteuid() == 0:
        for directory, names, files in os.walk(base):
            for name in [".", *names, *files]:
                os.chown(f"{directory}/{name}", helpers.NOBODY, helpers.NOBODY, follow_symlinks=False)
    os.chmod(f"{base}/root/closed", 0)
    bindings = [(f"{base}/b", "/b"), (f"{base}/n", "/m/n"), (f"{base}/one", "/mf"), (f"{base}/e", "/d/b")]
    yield Ground(f"{base}/root", bindings, (f"{base}/g", "/g/n"))
    os.chmod(f"{base}/root/closed", 0o755)
    shutil.rmtree(base, ignore_errors=True)


def words_of(ground: Ground, *, bind: bool = True) -> list[str]:
    words = ["-r", ground.root, "-w", "/", "--stats"]
    for host, guest in [*ground.bindings, ground.missing] if bind else []:
        words += ["-b", f"{host}:{guest}"]
    return words


def numbers(result: Result) -> tuple[int, int]:
    """Return how many calls stopped, and how many sites were led through the gate."""
    stops = re.search(r"^pyroot: (\d+) stops", result.stderr, re.M)
    sites = re.search(r"inside the guests: (\d+) sites", result.stderr)
    assert stops and sites, result.stderr
    return int(stops[1]), int(sites[1])


def checked(result: Result) -> list[str]:
    """Return the lines of a program that ended as it should and had nothing to complain about."""
    lines = result.stdout.splitlines()
    bad = [line for line in lines if line.startswith("BAD")]
    assert not bad, f"{len(bad)} complaints: " + "; ".join(bad[:12])
    assert result.status == 0 and lines and lines[-1].startswith("done 0"), (result.status, lines[-3:], result.stderr[-600:])
    return lines


def differences(left: list[str], right: list[str]) -> list[tuple[str, str]]:
    return [pair for pair in zip(left, right, strict=True) if pair[0] != pair[1]]


@pytest.fixture(scope="module")
def inside(pyroot_words: list[str], ground: Ground) -> Result:
    """Run the probe once, with its calls in the gate."""
    return session_of_pyroot(pyroot_words, [*words_of(ground), "/gate_probe"], {})


def test_calls_in_the_gate_tell_what_others_tell_and_change_nothing_else(
    run_pyroot: Callable[..., Result], ground: Ground, inside: Result
) -> None:
    lines = checked(inside)
    stops, sites = numbers(inside)
    outside = run_pyroot([*words_of(ground), "/gate_probe"], environment={"PYROOT_NO_GATE": "1"})
    all_stops, none = numbers(outside)
    assert sites >= 16 and none == 0
    assert stops < all_stops * 0.8
    assert differences(lines, checked(outside)) == []


def test_calls_in_the_gate_tell_what_a_chroot_tells(real_chroot: Callable[..., Result], ground: Ground, inside: Result) -> None:
    real = checked(real_chroot(ground.root, ["/gate_probe"], ground.bindings))
    # what lies above a mount point that the root lacks is pyroot's own
    assert [pair for pair in differences(checked(inside), real) if '"g' not in pair[0] and '"/g' not in pair[0]] == []


@pytest.mark.parametrize("mode, rounds", [("handlers", 1500), ("jumps", 200), ("fifo", 24), ("threads", 60), ("step", 3)])
def test_signals_find_the_program_and_not_the_gate(run_pyroot: Callable[..., Result], ground: Ground, mode: str, rounds: int) -> None:
    done = run_pyroot([*words_of(ground, bind=False), "/gate_storm", mode, str(rounds)])
    counted = re.search(r"^signals (\d+), at calls (\d+)$", "\n".join(checked(done)), re.M)
    assert counted, done.stdout
    if mode != "threads":                    # (which may be over before many have come)
        assert int(counted[1]) > 10 and int(counted[2]) > 5, done.stdout
    assert numbers(done)[1] >= 1


@pytest.mark.stress
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode, rounds", [("handlers", 100000), ("jumps", 20000), ("fifo", 300), ("threads", 1000), ("step", 50)])
def test_signals_for_long_find_the_program(run_pyroot: Callable[..., Result], ground: Ground, mode: str, rounds: int) -> None:
    # (as fast as signals come, a busy machine makes little way)
    checked(run_pyroot([*words_of(ground, bind=False), "/gate_storm", mode, str(rounds)], timeout=1200))


@pytest.mark.parametrize("mode", ["children", "masks", "code", "filter", "strict", "dispatch", "swap"])
def test_programs_in_the_gate_live_as_ever(run_pyroot: Callable[..., Result], ground: Ground, mode: str) -> None:
    done = run_pyroot([*words_of(ground, bind=False), "/gate_life", mode])
    checked(done)
    assert numbers(done)[1] >= (10 if mode == "code" else 5), done.stderr


def test_what_the_gate_does_that_the_kernel_does_not(run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    """A jump in the program's code, the actions of signals at bad pointers, memory below the red zone: docs/DIFFERENCES.md."""
    try:
        program = compile_program([f"{PROGRAMS}/gate_differs.c"], "-static", name="gate_differs")
    except BuildError as error:
        pytest.skip(str(error))
    shutil.copy(program, f"{guest_directory}/differs")
    plain = helpers.run([f"{guest_directory}/differs"])
    assert plain == helpers.Result(0, "code same\nblocked -14 1\nignored -14 1\nbelow same\n", "")
    words = ["-r", guest_directory, "-w", "/", "/differs"]
    assert run_pyroot(words, environment={"PYROOT_NO_GATE": "1"}) == plain
    assert run_pyroot(words) == helpers.Result(0, "code differs\nblocked -14 0\nignored -14 0\nbelow written\n", "")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_move_that_waits_long_for_a_cpu_is_reckoned_with(run_pyroot: Callable[..., Result], ground: Ground) -> None:
    """All on one CPU, of which the mover gets what is left: its moves begin long after pyroot has seen them."""

    def on_one_cpu() -> None:
        helpers.drop_to_ordinary_user()
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    for _ in range(5):
        words = [*words_of(ground, bind=False), "/gate_life", "swap", "600000", "starved"]
        checked(run_pyroot(words, prepare=on_one_cpu, timeout=300))


def test_nothing_of_the_gate_is_seen_in_proc(run_pyroot: Callable[..., Result], ground: Ground) -> None:
    done = run_pyroot([*words_of(ground, bind=False), "-b", "/proc:/proc", "/gate_life", "maps"])
    lines = checked(done)
    assert numbers(done)[1] >= 7
    told = [line.replace(f" {ground.root} / ", " ") for line in lines]  # mountinfo says which part of its file system the root is
    assert not [line for line in told if "pyroot-arena" in line or "memfd" in line or os.path.dirname(ground.root) in line]
    # each text is the guest's, however it was opened
    assert len([line for line in lines if line.endswith(" /gate_life")]) >= 3 * 10
    links = [line.split(" ", 1)[1] for line in lines if line.startswith("link ")]
    assert links[0::2] == links[1::2] and links[0] == "exe: 10 /gate_life"


@pytest.fixture
def looping(pyroot_words: list[str], ground: Ground) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a guest that makes its path calls, in the gate, until its input ends."""
    environment = {**helpers.pyroot_command()[1], "PATH": os.defpath}
    words = [*pyroot_words, *words_of(ground, bind=False), "-b", "/proc:/proc", "/gate_life", "loop"]
    process = helpers.start(words, environment=environment, stdin=subprocess.PIPE)
    assert process.stdout
    first = process.stdout.readline().split()
    assert first[:1] == [b"ready"], first
    yield process, int(first[1])
    helpers.kill_session(process.pid)
    process.communicate()


def ended(process: subprocess.Popen[bytes]) -> str:
    """Let the guest end, which must have seen nothing wrong; return what pyroot says."""
    output, errors = process.communicate(timeout=helpers.TIME_LIMIT)
    assert process.returncode == 0 and output == b"done 0\n", (process.returncode, output[-300:], errors[-500:])
    return errors.decode()


def calls_of(path: str, marks: tuple[str, ...]) -> list[str]:
    """Return the lines of a trace that is being written, which have one of the marks."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        return [line for line in file.read().splitlines() if any(mark in line for mark in marks)]


def test_trace_of_a_running_guest_shows_each_later_call(
    looping: tuple[subprocess.Popen[bytes], int], pyroot_words: list[str], ground: Ground, guest_directory: str
) -> None:
    process, pid = looping
    out = f"{guest_directory}/out"
    environment = {**helpers.pyroot_command()[1], "PATH": os.defpath}
    tracer = helpers.start([*pyroot_words, "trace", "-o", out, "-p", str(pid)], environment=environment)
    try:
        shown = ('open("/d/f"', 'stat("/d/f"', '"missing"', 'access("f"', '"d/f"')
        helpers.wait_until(lambda: all(calls_of(out, (call,)) for call in shown) or tracer.poll() is not None, what="all calls are shown")
        ended(process)
        tracer.wait(helpers.TIME_LIMIT)
    finally:
        helpers.kill_session(tracer.pid)
        said = tracer.communicate()
    text = "\n".join(calls_of(out, ("",)))
    assert all(calls_of(out, (call,)) for call in shown), (text[-1500:], said)
    assert ground.root not in text and "openat2" not in text, text[-1500:]


def test_guest_that_is_traced_by_another_shows_each_later_call(run_pyroot: Callable[..., Result], ground: Ground) -> None:
    missing = helpers.have("strace")
    if missing:
        pytest.skip(f"{missing} missing")
    # ended by its own doing if strace cannot attach
    script = """cd /tmp && rm -f in said trace && mkfifo in && { (cd / && exec /gate_life loop) < in > said & } && pid=$! && exec 3> in
        until grep -q ready said; do :; done
        strace -o trace -p $pid 2> err & tracer=$!
        until grep -q '"missing"' trace && grep -q 'stat("/d/f"' trace; do kill -0 $tracer || break; done 2> errs
        kill -INT $tracer; wait $tracer; exec 3>&-; wait $pid; cat trace err; cat said"""
    words = [*words_of(ground, bind=False), *host_programs(ground), "-b", "/proc:/proc", "-b", "/dev:/dev"]
    done = run_pyroot([*words, "/bin/sh", "-c", script])
    lines = checked(done)
    assert any(re.match(r'stat\("/d/f", \{', line) for line in lines), done.stdout + done.stderr
    assert any(line.startswith('openat(AT_FDCWD, "missing"') for line in lines)
    assert ground.root not in done.stdout and "openat2" not in done.stdout, done.stdout
    assert numbers(done)[1] >= 5


def host_programs(ground: Ground) -> list[str]:
    """Return options that show the host's programs in the root, which gets the links that lead to them."""
    for name in ("bin", "lib", "lib64"):
        if os.path.islink(f"/{name}") and not os.path.lexists(f"{ground.root}/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{ground.root}/{name}")
    wanted = ["/usr", *(f"/{name}" for name in ("bin", "lib", "lib64") if not os.path.islink(f"/{name}") and os.path.isdir(f"/{name}"))]
    return [word for path in wanted for word in ("-b", f"{path}:{path}")]


HOST_ROOT = """
import os
pid = os.getpid()
end, other_end = os.pipe()
os.write(other_end, b"x")
for _ in range(4):
    name = f"/proc/{pid}/maps"
    with open(name) as file:
        text = file.read()
    assert "pyroot" not in text and "memfd" not in text and os.readlink(f"/proc/{pid}/exe") in text, text
    with open(f"/proc/{pid}/fd/{end}") as file, open(f"/dev/fd/{end}") as other:
        assert os.path.sameopenfile(file.fileno(), end) and os.path.sameopenfile(other.fileno(), end)
    assert os.path.samestat(os.fstat(end), os.stat(f"/proc/{pid}/fd/{end}"))
    assert os.readlink(f"/proc/{pid}/fd/{end}").startswith("pipe:")
    os.chdir("/")
    with open(f"proc/{pid}/maps") as file:
        assert "pyroot" not in file.read()
    os.chdir(f"/proc/{pid}")
    with open("maps") as file:
        assert "pyroot" not in file.read()
    assert os.path.samefile("exe", "/proc/self/exe") and os.readlink("cwd") == f"/proc/{pid}"
print("done 0")
"""


def test_proc_of_the_host_is_no_directory_like_others(run_pyroot: Callable[..., Result]) -> None:
    # nothing is bound over /proc where the root is /
    python = helpers.ordinary_python()[0]
    text = HOST_ROOT
    done = run_pyroot(["-r", "/", "--stats", python, "-IS", "-c", text])
    checked(done)
    assert numbers(done)[1] >= 3


@pytest.mark.parametrize("variable", ["PYROOT_NESTED_AS_EVER", "PYROOT_NO_HANDOVER"])
@pytest.mark.parametrize("mode", ["children", "masks", "code"])
def test_pyroot_in_a_pyroot_with_a_gate(
    run_pyroot: Callable[..., Result], pyroot_words: list[str], ground: Ground, variable: str, mode: str
) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/tmp", variable: "1"}
    done = run_pyroot(["-r", "/", *pyroot_words, *words_of(ground, bind=False), "/gate_life", mode], environment=environment)
    checked(done)


def test_views_that_show_a_directory_twice(run_pyroot: Callable[..., Result], ground: Ground) -> None:
    words = [*words_of(ground), "-b", f"{ground.bindings[0][0]}:/d/e", "/gate_probe", "few"]
    inside = run_pyroot(words)
    assert differences(checked(inside), checked(run_pyroot(words, environment={"PYROOT_NO_GATE": "1"}))) == []


@pytest.mark.root
def test_guest_with_a_root_of_its_own_leaves_the_gate(run_pyroot: Callable[..., Result], ground: Ground) -> None:
    done = run_pyroot([*words_of(ground, bind=False), "/gate_life", "root"], prepare=may_chroot)
    checked(done)
    assert numbers(done)[1] >= 5
