"""A root as an object: run commands in it, examine it, bring programs into it.

Decides: what can be done with a root from Python, and that verbs do it in processes of their own, whose JSON is read: nothing of them
stays in the caller. Not decided here: how commands are run (``api``), what verbs do (their packages), what they give (``records``).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyroot import api, binds, records
from pyroot.caller import above
from pyroot.errors import PyrootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from typing import Any

    from typing_extensions import Unpack

    from pyroot.api import Keywords, RunOptions
    from pyroot.binds import StrPath
    from pyroot.manifest.entry import Entry


class Rootfs:
    """A directory that holds a root. ``options`` are keywords of every run in it; a run's own win, and its bindings are added.

    >>> debian = Rootfs("./debian", recommended=True)
    >>> debian.run(["cat", "/etc/debian_version"])
    """

    def __init__(self, path: StrPath, **options: Unpack[RunOptions]) -> None:
        """Raises PyrootError if there is no such directory."""
        self.path = os.path.abspath(os.fsdecode(path))
        self.options: dict[str, Any] = dict(options)
        if not os.path.isdir(self.path):
            raise PyrootError(f"{os.fsdecode(path)}: not a directory", f"pyroot new {os.fsdecode(path)} makes a small root there")

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        more = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"Rootfs({self.path!r}{more})"

    def _with(self, keywords: dict[str, Any]) -> dict[str, Any]:
        """Put this root, and its options, before the keywords of a run."""
        both = {**self.options, **keywords, "rootfs": self.path}
        for name in {"binds"} & self.options.keys() & keywords.keys():
            both[name] = [*binds.words(self.options[name]), *binds.words(keywords[name])]
        return both

    def run(self, args: Sequence[StrPath], **keywords: Any) -> subprocess.CompletedProcess[Any]:
        """Run a command to its end, as ``pyroot.run``."""
        return api.run(args, **self._with(keywords))

    def popen(self, args: Sequence[StrPath], **keywords: Unpack[Keywords]) -> api.Popen:
        """Start a command, as ``pyroot.Popen``."""
        return api.Popen(args, **self._with(dict(keywords)))

    async def create_subprocess_exec(self, program: StrPath, *args: StrPath, **keywords: Any) -> Process:
        """Start a command, as ``pyroot.create_subprocess_exec``."""
        return await api.create_subprocess_exec(program, *args, **self._with(keywords))

    def trace(self, args: Sequence[StrPath], *, expressions: Sequence[str] = (), **keywords: Unpack[Keywords]) -> Trace:
        """Run a command and give the records of its system calls, signals and exits as they come.

        ``expressions`` are those of ``pyroot trace -e``: ``["trace=file", "status=failed"]``.
        """
        return Trace(args, expressions, self._with(dict(keywords)))

    def doctor(self, *commands: StrPath, start: bool = True) -> list[records.Finding]:
        """Say what will fail in the root as its options show it, or what keeps these commands from working; the worst comes first.

        With ``start`` shells and interpreters of the root are asked to do nothing, to see whether they can.
        """
        words = ["--json", *([] if start else ["--no-run"]), *(["-R"] if self.options.get("recommended") else [])]
        for word in binds.words(self.options.get("binds", ())):
            words += ["-b", word]
        report = _json(["doctor", *words, "--", self.path, *map(os.fsdecode, commands)])
        return [records.made(records.Finding, one) for one in report["findings"]]

    def copy(self, *programs: StrPath, source: StrPath | None = None, headers: bool = False, dry_run: bool = False) -> list[records.Copied]:
        """Copy programs of this host, or of the root ``source``, into the root, with all that they need."""
        words = ["--json", *(["--headers"] if headers else []), *(["--dry-run"] if dry_run else [])]
        if source is not None:
            words += ["--from", os.fsdecode(source)]
        return [records.made(records.Copied, one) for one in _json(["copy", *words, "--", self.path, *map(os.fsdecode, programs)])]

    def snapshot(self, *, content: bool = True) -> list[Entry]:
        """List every file of the root with what ``pyroot snapshot`` records of it; without ``content`` no hashes."""
        from pyroot.manifest.text import read

        words = ["snapshot", "--json", *([] if content else ["--no-content"]), "--", self.path]
        entries: list[Entry] = read(_verb(words), "snapshot")["entries"]
        return entries

    def sessions(self) -> list[records.Session]:
        """List the sessions of this user whose root this is."""
        here = os.path.realpath(self.path)
        return [one for one in map(records.session, _json(["ps", "--json"])["sessions"]) if one.root == here]

    @contextmanager
    def overlay(self) -> Iterator[Rootfs]:
        """Give a throw-away view of the root: runs in it see each other's changes, one at a time, and the root has none of them."""
        if "overlay_root" not in api.KEYWORDS:
            raise PyrootError("this pyroot has no overlays", "copy the root: cp -a --reflink=auto ROOT COPY")
        beside = os.path.dirname(self.path)  # on the same file system, if that is possible
        place = tempfile.mkdtemp(prefix="pyroot-overlay-", dir=beside if os.access(beside, os.W_OK) else None)
        upper = os.path.join(place, "upper")
        os.mkdir(upper)
        os.chmod(upper, os.stat(self.path).st_mode & 0o7777)  # what the guest sees as its own
        try:
            yield Rootfs(self.path, **{**self.options, "overlay_root": upper})
        finally:
            _remove(place)


class Trace:
    """The records of a traced run, as an iterator; the end of it is the end of the last process. `close` kills them."""

    def __init__(self, args: Sequence[StrPath], expressions: Sequence[str], keywords: dict[str, Any]) -> None:
        """Start it."""
        ours = {name: value for name, value in keywords.items() if name in api.KEYWORDS}
        others = {name: value for name, value in keywords.items() if name not in ours}
        read, write = above(os.pipe())
        try:
            line = api.command_line(args, **ours)
            words = ["trace", "--json", "-o", f"/dev/fd/{write}", *(word for one in expressions for word in ("-e", one)), "--"]
            call = api.Call([*line[:3], *words, *line[3:]], others, False, (write,))
        except BaseException:
            os.close(read)
            os.close(write)
            raise
        self._lines = os.fdopen(read, encoding="utf-8", errors="surrogateescape")
        try:
            self.process = subprocess.Popen(call.line, **call.keywords)
        except BaseException:
            self._lines.close()
            call.close()
            raise
        finally:
            os.close(write)
        assert call.pipe is not None
        call.pipe.sent()
        self._pipe = call.pipe
        self.process.args = list(args)

    @property
    def returncode(self) -> int | None:
        """The command's, when all records have been read."""
        return self.process.returncode

    def __iter__(self) -> Trace:
        return self

    def __next__(self) -> records.Record:
        line = "" if self._lines.closed else self._lines.readline()
        if line:
            return records.of_trace(json.loads(line))
        error = None
        if not self._lines.closed:
            self.process.wait()
            error = self._pipe.rest()
            self.close()
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """End the run, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._lines.close()
        self._pipe.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_about: object) -> None:
        self.close()


def _verb(words: list[str]) -> bytes:
    """Run a verb, and return what it writes. Raises PyrootError."""
    call = api.Call([*api.starter(), *words], {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}, False)
    assert call.pipe is not None
    try:
        with subprocess.Popen(call.line, **call.keywords) as process:
            call.pipe.sent()
            try:
                output, errors = process.communicate()
            except BaseException:
                process.kill()
                raise
        error = call.pipe.rest()
        if error is None and process.returncode not in (0, 1):
            error = PyrootError(f"{words[0]}: ended with {process.returncode}: {errors.decode('utf-8', 'replace').strip()}")
        if error is not None:
            raise error
        return bytes(output)
    finally:
        call.close()


def _json(words: list[str]) -> Any:
    return json.loads(_verb(words))


def _remove(place: str) -> None:
    """Remove a tree of this user's, directories that may not be entered included."""
    os.chmod(place, 0o700)
    for folder, names, _files in os.walk(place):
        for name in names:
            if not os.path.islink(os.path.join(folder, name)):
                os.chmod(os.path.join(folder, name), 0o700)
    shutil.rmtree(place)
