"""Where a session remembers owners and modes: in the root, in a file that the user names, or for its own time; loaded and saved.

Decides: which store a session has, and the format of the files of --save. Not decided here: what a record is (``pyroot/store``).

A saved file is what the store consists of (the records, what they have beside them, the renames), one after the other, behind a line
that tells their names, their sizes and a sum: so it is found out when it has been cut short.
"""

import os
import zlib

from pyroot.errors import PyrootError, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.config import Config

_HEAD = b"pyroot owners 1"
_OWN = b".pyroot/owners"


class Memory:
    """What one session has."""

    def __init__(self, config: "Config") -> None:
        """Raises PyrootError if the file cannot be used."""
        self._config = config
        self._folder = b""  # where the store of a session lies that loads or saves one
        self.store = self._choose()  # empty: in memory
        if config.load is not None:
            self._load(config.load)

    def _choose(self) -> bytes:
        config = self._config
        if config.load is not None or config.save is not None:
            if config.save is not None:
                _writable("--save", config.save)
            import tempfile

            self._folder = os.fsencode(tempfile.mkdtemp(prefix="pyroot-owners-", dir=os.fsdecode(config.tmp_dirs[0])))
            return self._folder + b"/owners"
        if config.fake_root is not None:
            if config.fake_root:
                _writable("--fake-root", config.fake_root)
            return config.fake_root
        if config.rootfs == b"/" or b"\n" in config.rootfs:
            return b""
        if config.read_only or config.overlay_root is not None:
            # (what is remembered there is true, and nothing is added to it)
            return config.rootfs + b"/" + _OWN if os.path.exists(config.rootfs + b"/" + _OWN) else b""
        if not os.access(config.rootfs, os.W_OK):
            return b""
        return config.rootfs + b"/" + _OWN

    def _load(self, path: bytes) -> None:
        shown = f"--load {os.fsdecode(path)}"
        try:
            with open(path, "rb") as file:
                head, data = file.readline(200), file.read()
        except FileNotFoundError:
            raise PyrootError(f"{shown}: {text_of(2)}", "--save makes such a file; a first run has only that") from None
        except OSError as error:
            raise PyrootError(f"{shown}: {text_of(error.errno or 0)}") from None
        if not head.startswith(_HEAD[:14]):
            raise PyrootError(f"{shown}: this is no file of --save", "pyroot owners load reads mtree(5) lines, for the files of a root")
        said, _colon, listed = head.removeprefix(_HEAD).strip().partition(b":")
        if said.strip() != b"%08x" % zlib.crc32(listed + data):
            raise PyrootError(f"{shown}: the file is damaged, or of another version", "nothing of it has been used: save it once more")
        at = 0
        for word in listed.split():
            name, _equals, size = word.partition(b"=")
            with open(os.path.join(self._folder, name), "wb") as file:
                file.write(data[at : at + int(size)])
            at += int(size)

    def save(self) -> None:
        """Write what is remembered to the file of --save, at once or not at all. Raises PyrootError."""
        path = self._config.save
        if path is None:
            return
        parts = {}
        for name in sorted(os.listdir(self._folder)):
            with open(os.path.join(self._folder, name), "rb") as file:
                parts[name] = file.read()
        listed = b" ".join(b"%s=%d" % (name, len(part)) for name, part in parts.items())
        data = b"".join(parts.values())
        new = path + b".new"
        try:
            with open(new, "wb") as file:
                file.write(b"%s %08x:%s\n" % (_HEAD, zlib.crc32(listed + data), listed) + data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(new, path)
        except OSError as error:
            if os.path.isfile(new):
                os.unlink(new)
            raise PyrootError(f"--save {os.fsdecode(path)}: {text_of(error.errno or 0)}", "what was remembered is lost") from None

    def remove(self) -> None:
        """Remove what lay in a directory of the session's own."""
        if self._folder:
            import shutil

            shutil.rmtree(self._folder, ignore_errors=True)


def _writable(option: str, path: bytes) -> None:
    """Find out now whether a file can be written, and not at the end. Raises PyrootError."""
    shown = f"{option} {os.fsdecode(path)}"
    if b"\n" in path:
        raise PyrootError(f"{shown}: a line break in the name", "choose another name")
    if os.path.isdir(path):
        raise PyrootError(f"{shown}: {text_of(21)}", f"{option} takes the name of a file")
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise PyrootError(f"{shown}: {text_of(2)}", f"make the directory first: mkdir -p {os.fsdecode(folder)}")
    if not os.access(path if option != "--save" and os.path.exists(path) else folder, os.W_OK):
        raise PyrootError(f"{shown}: {text_of(13)}", "you may not write there")
