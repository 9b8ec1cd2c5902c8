"""The HOWTOs: what they name is there, and each is tried: its blocks are put into a copy of the tree, which then has one more of the kind.

A block belongs into the file that is named last before it.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import helpers, test_arch, test_floors
from tests.helpers import PROJECT, Result
from tests.mutations.__main__ import START, Tree
from tests.oracle.build import BuildError, compile_program
from tests.rootfs_fixtures import directory_for_user, give, remove
from tests.test_syscall_table import ALLOW, NOT_THERE, TRACE, verdict

DOCS = Path(PROJECT, "docs")
HOWTOS = sorted(DOCS.glob("HOWTO-*.md"))
SUFFIXES = "py|pyi|pyx|pxi|c|h|S|md|1"
MAIN = "import sys; from pyroot.cli import main; sys.exit(main(sys.argv[1:]))"

pytestmark = pytest.mark.skipif(not HOWTOS, reason="no source tree here")


def blocks(howto: str) -> dict[str, list[str]]:
    """Return the blocks of a HOWTO by the file that each belongs into; commands of a shell belong into none."""
    text = (DOCS / f"HOWTO-{howto}.md").read_text("utf-8")
    found: dict[str, list[str]] = {}
    for block in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if block[1] != "sh":
            file = re.findall(rf"`(pyroot/[\w/.-]+\.(?:{SUFFIXES}))`", text[: block.start()])[-1]
            found.setdefault(file, []).append(block[2])
    return found


class Copy:
    """A copy of the package, with the core that is installed, to put something into."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        built = shutil.ignore_patterns("__pycache__", "*.so", "loader-x86_64", "loader-i386*")
        shutil.copytree(f"{PROJECT}/pyroot", f"{folder}/pyroot", ignore=built)
        shutil.copytree(f"{PROJECT}/bind", f"{folder}/bind")
        for path in glob.glob(f"{glob.escape(helpers.core_directory())}/pyroot/**/*", recursive=True):
            if re.search(r"/(_fast[^/]*\.so|loader-(x86_64|i386)[^/.]*)$", path):
                shutil.copy(path, f"{folder}/{os.path.relpath(path, helpers.core_directory())}")

    def put(self, file: str, text: str, before: str = "", instead: str = "") -> None:
        """Put text into a file: before the one place that has this text, instead of it, or at the end."""
        path = Path(self.folder, file)
        old = path.read_text("utf-8")
        if not before and not instead:
            path.write_text(f"{old}\n\n{text}", "utf-8")
            return
        assert old.count(before or instead) == 1, f"{file} has no one {before or instead!r}"
        path.write_text(old.replace(before or instead, text + before), "utf-8")

    def python(self, program: str, *words: str) -> str:
        """Run a program that has the copy's package; return what it prints."""
        done = subprocess.run([sys.executable, "-c", program, *words], cwd=self.folder, env={**os.environ, **self.variables()},
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pyroot(self, *words: str, **variables: str) -> Result:
        """Run the copy's pyroot as the ordinary user."""
        command = [helpers.ordinary_python()[0], "-c", MAIN, *words]
        return helpers.run(command, environment={"PATH": os.environ.get("PATH", os.defpath), **self.variables(), **variables})

    def variables(self) -> dict[str, str]:
        """Return the variables that let Python find the copy."""
        return {"PYTHONPATH": self.folder, "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"}

    def generate(self) -> None:
        """Make the generated files anew."""
        words = [sys.executable, "-I", "-c", START, self.folder, "pyroot.syscalls.generate"]
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def text(self, file: str) -> str:
        """Return a file of the copy."""
        return Path(self.folder, file).read_text("utf-8")


@pytest.fixture
def tree(guest_directory: str, pyroot_words: list[str]) -> Copy:
    """Make a copy of the package, where guests of the ordinary user can read it."""
    return Copy(guest_directory)


# -- what they name --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("howto", HOWTOS, ids=lambda path: path.stem)
def test_each_file_that_is_named_exists(howto: Path) -> None:
    """Parts and modules may be named without their folder; NAME stands for what is to be made, and some are the kernel's."""
    named = set(re.findall(rf"`((?:[\w.-]+/)*[\w.-]+(?:\.(?:{SUFFIXES})|/))`", howto.read_text("utf-8")))
    named = {name for name in named if not re.search(r"\bNAME\b|_NAME|^arch/x86/|^asm/", name)}
    known = {path.name for folder in ("pyroot", "tests", "docs") for path in Path(PROJECT, folder).rglob("*")}
    assert len(named) >= 5
    assert {name for name in named if not (Path(PROJECT, name).exists() or name in known)} == set()


@pytest.mark.parametrize("howto", HOWTOS, ids=lambda path: path.stem)
def test_each_name_that_is_placed_in_a_file_is_there(howto: Path) -> None:
    text = howto.read_text("utf-8")
    for name, file in re.findall(rf"`(\w+)`\s+(?:in|of)\s+`([\w/-]+\.(?:{SUFFIXES}))`", text):
        assert re.search(rf"\b{name}\b", Path(PROJECT, file).read_text("utf-8")), f"{file} has no {name}"


def test_contributors_find_each() -> None:
    text = Path(PROJECT, "CONTRIBUTING.md").read_text("utf-8")
    assert [path.name for path in HOWTOS if f"docs/{path.name}" not in text] == []


# -- an option -------------------------------------------------------------------------------------------------------------------------

OPTION_END = '    Option(\n        ("-v", "--verbose"),\n'
KIND_END = 'TEXT = Kind(_as_it_is, (), "")'
FIELD_END = "    stats: bool\n"


def put_option(tree: Copy, row: str, kind: str, name: str) -> None:
    """Put a row into the table, and its kind of value, which the table imports."""
    tree.put("pyroot/options.py", row, before=OPTION_END)
    tree.put("pyroot/option_kinds.py", kind, before=KIND_END)
    tree.put("pyroot/options.py", f"from pyroot.option_kinds import {name}\n", before='\nGROUP_VIEW = "')


def test_option(tree: Copy) -> None:
    """The row changes parser, Config, helps, man page and keywords; the command sees what it is for."""
    parts = blocks("add-an-option")
    put_option(tree, parts["pyroot/options.py"][0], parts["pyroot/option_kinds.py"][0], "COUNT")
    tree.put("pyroot/config.py", parts["pyroot/config.py"][0], before=FIELD_END)
    tree.put("pyroot/launch.py", parts["pyroot/launch.py"][0], before="    glue = binding.LazyGlue(")
    os.makedirs(f"{tree.folder}/docs/man")
    shutil.copy(f"{PROJECT}/docs/man/generate.py", f"{tree.folder}/docs/man/generate.py")
    tree.python("import runpy; runpy.run_path('docs/man/generate.py', run_name='__main__')")
    assert "\\-\\-nice" in tree.text("docs/man/pyroot.1")
    assert "nice: int" in tree.text("pyroot/api.pyi")
    assert (tree.pyroot("-h").stdout.count("--nice N"), tree.pyroot("--help").stdout.count("--nice N")) == (1, 1)
    tree.python(
        "from pyroot import api, config, options\n"
        "assert config.build(options.parse(['--nice=7', 'ls'])).nice == 7\n"
        "assert config.build(options.parse(['ls'])).nice == 0\n"
        "assert api.command_line(['ls'], nice=7)[-4:] == ['--nice', '7', '--', 'ls']\n"
    )
    plain, nicer = tree.pyroot("nice"), tree.pyroot("--nice", "7", "nice")
    assert int(nicer.stdout) == min(int(plain.stdout) + 7, 19), nicer.stderr
    wrong = tree.pyroot("--nice", "much", "true")
    assert (wrong.status, "--nice much: not a number" in wrong.stderr) == (125, True)


# -- a kind of binding -----------------------------------------------------------------------------------------------------------------


def test_binding_kind(tree: Copy) -> None:
    """One class says what is there; where it appears is decided for all kinds."""
    parts = blocks("add-a-binding-kind")
    row, kind = parts["pyroot/options.py"][0], parts["pyroot/option_kinds.py"][0]
    tree.put("pyroot/binding.py", parts["pyroot/binding.py"][0])
    put_option(tree, row, kind, "NEWEST")
    field, order = parts["pyroot/config.py"]
    tree.put("pyroot/config.py", field, before=FIELD_END)
    tree.put("pyroot/config.py", order, instead="        return [*usual, *self.binds]\n")
    os.mkdir(f"{tree.folder}/logs")
    for age, name in enumerate(("new", "old")):
        Path(tree.folder, "logs", name).write_text(f"{name}\n")
        os.utime(f"{tree.folder}/logs/{name}", (1000 - age, 1000 - age))
    logs = f"{tree.folder}/logs"
    shown = tree.pyroot("-v", "1", "--newest", f"{logs}:/newest", "-b", f"{logs}/old:/newest", "cat", "/newest")
    assert (shown.status, shown.stdout) == (0, "new\n"), shown.stderr
    assert f"{logs}/new is bound at /newest" in shown.stderr
    missing = tree.pyroot("--newest", f"{logs}/none:/newest", "true")
    assert (missing.status, "no such file or directory" in missing.stderr) == (125, True)


# -- a check of the doctor -------------------------------------------------------------------------------------------------------------


def test_check(tree: Copy) -> None:
    """It is listed in its place, found, and mended."""
    tree.put("pyroot/doctor/accounts.py", blocks("add-a-check")["pyroot/doctor/accounts.py"][0])
    lines = tree.pyroot("doctor", "--list").stdout.splitlines()
    codes = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert "| `shells-missing` | warning | /etc/shells | chsh, su " in "\n".join(lines)
    assert len(codes) == len(set(codes))
    # (the last of its module)
    assert codes.index("passwd-missing") < codes.index("shells-missing") < codes.index("resolv-missing")
    os.makedirs(f"{tree.folder}/root/etc")
    give(f"{tree.folder}/root")
    found = json.loads(tree.pyroot("doctor", "--json", f"{tree.folder}/root").stdout)["findings"]
    [one] = [one for one in found if one["code"] == "shells-missing"]
    assert (one["path"], one["what"], len(one["steps"])) == ("/etc/shells", "is missing", 1)
    tree.pyroot("doctor", "--fix", f"{tree.folder}/root")
    assert tree.text("root/etc/shells") == "/bin/sh\n"
    assert "shells-missing" not in tree.pyroot("doctor", f"{tree.folder}/root").stdout


# -- a decoder of the trace ------------------------------------------------------------------------------------------------------------

WRITE = """
import json, sys
from types import SimpleNamespace
from pyroot.trace import calls, session
from pyroot.trace.decode import Context, Row
name, args, outs, result = json.loads(sys.argv[1])
sets, words, ending = calls.rows()[name]
row = Row(name, sets, words, ending, Context())
strings = [b"file" if kind == 1 else None for kind, *_rest in row.plan.ins]
call = SimpleNamespace(args=args, ins=strings, outs=[bytes.fromhex(one) for one in outs], result=result, text=None, tid=0, compat=False)
print(f"{name}({row.joined(call)}) = {row.result(call)}")
print(sets)
"""


def test_trace_decoder(tree: Copy) -> None:
    """A row and a kind write a call, and a program of the guest is traced with them."""
    parts = blocks("add-a-trace-decoder")
    tree.put("pyroot/trace/calls.py", parts["pyroot/trace/calls.py"][0], before="uname - >utsname\n")
    tree.put("pyroot/trace/structs.py", parts["pyroot/trace/structs.py"][0])
    answer = (3).to_bytes(8, "little") + (5).to_bytes(24, "little")
    written = tree.python(WRITE, json.dumps(["ustat", [0x801, 0x1000, 0, 0, 0, 0], [answer.hex()], 0]))
    assert written.splitlines()[0] == "ustat(makedev(0x8, 0x1), {f_tfree=3, f_tinode=5}) = 0"
    program = "import ctypes, os; ctypes.CDLL(None).syscall(136, os.stat('/').st_dev, ctypes.create_string_buffer(32))"
    traced = tree.pyroot("trace", "-f", "-e", "trace=ustat", helpers.ordinary_python()[0], "-c", program)
    # (a file system of Btrfs or a container may refuse it)
    form = r"ustat\(makedev\(0x[0-9a-f]+, 0x[0-9a-f]+\), (\{f_tfree=\d+, f_tinode=\d+\}\) = 0|0x[0-9a-f]+\) = -1 E)"
    assert re.search(form, traced.stderr), traced.stderr


# -- a system call ---------------------------------------------------------------------------------------------------------------------

NUMBER = 472
STAMPS = """
import json
from pyroot.syscalls import filters
print(json.dumps(filters.filter_program()))
"""


def add_call(tree: Copy, with_handler: bool) -> None:
    """Put the call of the HOWTO in, with the common handler or with its own."""
    parts = blocks("add-a-syscall")
    for machine in ("x86_64", "i386"):
        last = '    "listns": 470,\n'
        tree.put(f"pyroot/syscalls/numbers_{machine}.py", last + parts["pyroot/syscalls/numbers_x86_64.py"][0], instead=last)
    tree.put("pyroot/syscalls/table.py", parts["pyroot/syscalls/table.py"][with_handler], before='    Row("access", path=0, gate=True),\n')
    tree.put("pyroot/trace/calls.py", parts["pyroot/trace/calls.py"][0], before="uname - >utsname\n")
    if with_handler:
        tree.put("pyroot/_fast/calls/paths.pxi", parts["pyroot/_fast/calls/paths.pxi"][0])
    tree.generate()


def test_syscall(tree: Copy) -> None:
    """One row goes through the generator into tables and filter, and into what the trace writes."""
    add_call(tree, with_handler=False)
    tables = tree.text("pyroot/_fast/tables.h")
    assert tables.count('[472] = {"stampat", H_PATH, 1, 0, -1, -1, F_FLAG, 2, F_FOLLOW, REMOVE_NONE, 0x100, ') == 2
    assert "#define NR_stampat 472\n" in tables
    assert re.search(r"\bNR_stampat\b", tree.text("pyroot/_fast/ground/rows.pxi"))
    assert 'COMPAT_NR_stampat "NR_i386_stampat"' in tree.text("pyroot/_fast/arch/i386/rows_i386.pxi")
    assert tree.text("pyroot/guest/numbers.h").count("#define SYS_stampat 472\n") == 2
    assert tree.text("pyroot/_fast/run/handlers.pxi") == Path(PROJECT, "pyroot/_fast/run/handlers.pxi").read_text("utf-8")
    program = [tuple(line) for line in json.loads(tree.python(STAMPS))]
    for abi in (0xC000003E, 0x40000003):
        assert [verdict(number, arch=abi, program=program) for number in (471, 472, 473)] == [NOT_THERE, TRACE, NOT_THERE]
    stamp = bytes(15) + b"\1"
    lines = tree.python(WRITE, json.dumps(["stampat", [-100 & 0xFFFFFFFF, 4096, 0x100, 8192, 0, 0], [stamp.hex()], 0])).splitlines()
    assert lines[0].startswith('stampat(AT_FDCWD, "file", AT_SYMLINK_NOFOLLOW, {tv_sec=0, tv_nsec=')
    assert lines[1] == "fd"


def test_syscall_with_a_handler(tree: Copy) -> None:
    """The row names it: number, entry of the array and the routine's name follow."""
    add_call(tree, with_handler=True)
    assert '[472] = {"stampat", H_STAMPAT, 1, 0, ' in tree.text("pyroot/_fast/tables.h")
    assert "    handlers[H_STAMPAT] = on_stampat\n" in tree.text("pyroot/_fast/run/handlers.pxi")
    assert "cdef int on_stampat(Tracee *t, const pyroot_row *row) noexcept nogil:" in tree.text("pyroot/_fast/calls/paths.pxi")


@pytest.mark.slow
@pytest.mark.timeout(900)  # it builds the core
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a compiler (gcc)")
def test_handler_of_a_syscall_is_built_and_runs(pyroot_words: list[str]) -> None:
    """The kernel has no such call; its answer, ENOSYS, is taken for a success, so that the action at its end has something to do."""
    folder = directory_for_user()
    try:
        probe = compile_program([f"{PROJECT}/tests/programs/stamp_probe.c"], "-static", name="stamp")
        builder = Tree(folder, "")
        tree = Copy(builder.base)
        for path in glob.glob(f"{builder.base}/pyroot/_fast*.so") + glob.glob(f"{builder.base}/pyroot/guest/loader-*64"):
            os.unlink(path)
        add_call(tree, with_handler=True)
        done = "    cdef uint64_t stamp = 0\n    if result == "
        tree.put("pyroot/_fast/calls/paths.pxi", f"{done}-ENOSYS", instead=f"{done}0")
        builder.translate(builder.base)
        builder.compile(builder.base)
        builder.loaders(builder.base, all_machines=False)
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        give(folder)
        words = ["-b", f"{os.path.dirname(probe)}:/mnt", f"/mnt/{os.path.basename(probe)}", str(NUMBER)]
        for way in ({}, {"PYROOT_NO_SECCOMP": "1"}):
            assert tree.pyroot(*words, "/etc/passwd", **way).stdout == "-1 38 0\n", way
        traced = tree.pyroot("trace", "-e", "trace=stampat", *words, "/etc/passwd")
        assert 'stampat(AT_FDCWD, "/etc/passwd", 0, 0x' in traced.stderr
    except BuildError as error:
        pytest.skip(f"gcc makes no static programs here: {str(error)[-80:]}")
    finally:
        remove(folder)


# -- an architecture -------------------------------------------------------------------------------------------------------------------

TOY_ARCH = 0xC0000FFF


def test_architecture_s_numbers_go_through_the_generator(tree: Copy) -> None:
    """Other numbers, and calls that the machine lacks: tables, filter and gate follow."""
    names = "[name for name in numbers_x86_64.NUMBERS if name not in LACKED]"
    Path(tree.folder, "pyroot/syscalls/numbers_toy64.py").write_text(
        f"from pyroot.syscalls import numbers_x86_64\n\nAUDIT_ARCH = {TOY_ARCH:#x}\nLACKED = {test_arch.LACKED!r}\n"
        f"NUMBERS = {{name: number + 7 for number, name in enumerate(sorted({names}))}}\n"
    )
    tree.put("pyroot/syscalls/filters.py", "X86_64 = Abi(numbers_toy64.AUDIT_ARCH, numbers_toy64.NUMBERS, ",
             instead="X86_64 = Abi(numbers_x86_64.AUDIT_ARCH, numbers_x86_64.NUMBERS, ")  # fmt: skip
    tree.put("pyroot/syscalls/filters.py", "import features, numbers_i386, numbers_toy64\n",
             instead="import features, numbers_i386, numbers_x86_64\n")  # fmt: skip
    tree.generate()
    told = "import json; from pyroot.syscalls.numbers_toy64 import NUMBERS; print(json.dumps(NUMBERS))"
    numbers: dict[str, int] = json.loads(tree.python(told))
    tables, declared = tree.text("pyroot/_fast/tables.h"), tree.text("pyroot/_fast/ground/rows.pxi")
    assert f"#define NR_openat {numbers['openat']}\n" in tables
    assert f'[{numbers["openat"]}] = {{"openat", H_OPEN, ' in tables
    for name in test_arch.LACKED:
        assert f"#define NR_{name} -1\n" in tables
        assert re.search(rf"\bNR_{name}\b", declared)
    assert '"rename", H_RENAME' not in tables.partition("pyroot_rows_i386")[0]
    gate = tree.text("pyroot/guest/calls.h")
    assert f"GATE_CALL({numbers['openat']}, " in gate
    assert "/* open */" not in gate
    program = [tuple(line) for line in json.loads(tree.python(STAMPS))]
    assert verdict(numbers["openat"], arch=TOY_ARCH, program=program) == TRACE
    assert verdict(numbers["read"], arch=TOY_ARCH, program=program) == ALLOW
    assert verdict(6, arch=TOY_ARCH, program=program) == NOT_THERE
    assert verdict(0, arch=0xC000003E, program=program) == NOT_THERE
    Path(tree.folder, "pyroot/syscalls/numbers_toy64.py").write_text(f"AUDIT_ARCH = 1\nNUMBERS = {json.dumps({'brand_new': 1})}\n")
    with pytest.raises(AssertionError, match="brand_new: neither in the table nor reviewed"):
        tree.generate()


def test_architecture_s_folder_is_judged_by_the_surface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the folder of x86_64 under another name is a machine; one that lacks something is none."""
    package = tmp_path / "pyroot"
    shutil.copytree(f"{PROJECT}/pyroot/_fast", package / "_fast")
    toy = package / "_fast/arch/toy64"
    (package / "_fast/arch/x86_64").rename(toy)
    for path in toy.glob("*_x86_64.pxi"):
        path.rename(path.with_name(path.name.replace("x86_64", "toy64")))
    parts = Path(PROJECT, "pyroot/_fast.pyx").read_text("utf-8")
    (package / "_fast.pyx").write_text(parts.replace("x86_64", "toy64"), "utf-8")
    monkeypatch.setattr(test_floors, "CORE", package)
    monkeypatch.setattr(test_arch, "CORE", package / "_fast")
    monkeypatch.setattr(test_arch, "SURFACE", package / "_fast/arch/surface.pxi")
    monkeypatch.setattr(test_arch, "MACHINES", ("toy64",))
    test_floors.test_wings_are_contiguous_and_hold_every_part()
    test_floors.test_no_wing_uses_what_stands_above_it()
    test_arch.test_each_machine_provides_the_surface("toy64")
    test_arch.test_the_surface_lists_all_that_is_used()
    test_arch.test_nothing_of_one_architecture_stands_outside_of_its_folder()
    (toy / "stubs.pxi").unlink()
    with pytest.raises(AssertionError):
        test_arch.test_each_machine_provides_the_surface("toy64")
    assert "stub_for" in set(test_arch.listed()["Each machine"]) - test_arch.defined("toy64")
