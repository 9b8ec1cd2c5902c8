"""Compile the guest programs of the oracle, once for each state of their sources.

The static interpreter is built with musl where ``musl-gcc`` is installed (small, quick to copy), else with the
system's C library.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import os
import shutil
import subprocess
import tempfile

MUSL = "/lib/ld-musl-x86_64.so.1"
HERE = os.path.dirname(os.path.abspath(__file__))


class BuildError(Exception):
    """A guest program could not be compiled; the text says why."""


def cache_directory() -> str:
    """Return the directory for things that are slow to make; ``PYROOT_TEST_CACHE`` overrides it."""
    default = "/var/cache/pyroot-tests" if os.geteuid() == 0 else os.path.expanduser("~/.cache/pyroot-tests")
    path = os.environ.get("PYROOT_TEST_CACHE") or default
    os.makedirs(path, mode=0o755, exist_ok=True)
    return path


def compile_program(sources: list[str], *options: str, compiler: str = "gcc", name: str = "program") -> str:
    """Compile ``sources`` and return the path of the result; the same input is compiled only once."""
    if shutil.which(compiler) is None:
        raise BuildError(f"{compiler} is not installed")
    digest = hashlib.sha1(repr((options, compiler)).encode(), usedforsecurity=False)
    for source in [*sources, *sorted(glob.glob(os.path.dirname(sources[0]) + "/*.h"))]:
        with open(source, "rb") as file:
            digest.update(file.read())
    target = os.path.join(cache_directory(), f"{name}-{digest.hexdigest()[:16]}")
    if os.path.exists(target):
        return target
    handle, partial = tempfile.mkstemp(dir=cache_directory())
    os.close(handle)
    command = [compiler, "-O1", "-o", partial, *(s for s in sources if s.endswith((".c", ".S"))), *options]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        with contextlib.suppress(FileNotFoundError):
            # (gcc takes it away itself)
            os.unlink(partial)
        raise BuildError(f"{' '.join(command)}: {result.stdout}")
    os.chmod(partial, 0o755)
    os.rename(partial, target)
    return target


def read(path: str) -> bytes:
    """Return the content of a file."""
    with open(path, "rb") as file:
        return file.read()


@functools.lru_cache(maxsize=3)
def guest_programs(libc: str = "") -> dict[str, bytes]:
    """Return the contents of the programs that every case's tree holds, by name.

    ``libc`` is "musl" or "glibc"; by default musl where it is installed. "i386" makes 32-bit programs, but for "dynamic".
    """
    sources = sorted(glob.glob(os.path.join(HERE, "ops*.c")))
    if libc == "i386":
        wide = ("-m32", "-D_FILE_OFFSET_BITS=64")
        ops = read(compile_program(sources, "-static", *wide, name="ops32"))
        orphan = read(compile_program(sources, "-Wl,--dynamic-linker=/nowhere/ld.so", *wide, name="ops32-orphan"))
        return {**guest_programs(), "ops": ops, "short": ops[:200], "orphan": orphan}
    musl = libc != "glibc" and shutil.which("musl-gcc") is not None and os.path.exists(MUSL)
    if libc == "musl" and not musl:
        raise BuildError("musl-gcc is not installed")
    ops = read(compile_program(sources, "-static", compiler="musl-gcc" if musl else "gcc", name="ops"))
    programs = {"ops": ops, "dynamic": ops, "libc": b"", "short": ops[:200]}
    if musl:
        # (musl-gcc -print-file-name=libc.so may name the other C library's linker script)
        programs["libc"] = read(MUSL)
        programs["dynamic"] = read(compile_program(sources, compiler="musl-gcc", name="ops-dynamic"))
    programs["orphan"] = read(compile_program(sources, "-Wl,--dynamic-linker=/nowhere/ld.so", name="ops-orphan"))
    return programs
