"""Kinds of bindings beside those of -b: what is the session's own, what hides, what takes changes.

Decides: what each of them is, and what is said of it. Not decided here: where it appears, and in which order (``binding``).
"""

import errno
import os

from pyroot.binding import LINK_FLAG, MASK_FLAG, LazyGlue, Place, Tmpfs
from pyroot.errors import PyrootError, text_of
from pyroot.report import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot._fast import Core
    from pyroot.glue import Glue
    from pyroot.overlays import Upper


class Directory(Tmpfs):
    """The same where the guest has no directory (--dir)."""

    __slots__ = ()

    made = True

    def yields(self, below: bytes) -> bool:
        """It is left out where there is one."""
        return os.path.isdir(below)


class File(Place):
    """What was read from a descriptor (--file)."""

    __slots__ = ("number", "mode", "_content")

    made = True

    def __init__(self, number: int, guest: bytes, shown: str, mode: int = 0o644) -> None:
        super().__init__(b"", guest, shown=shown)
        self.number = number
        self.mode = mode
        self._content: bytes | None = None

    def prepare(self) -> bool:
        """Read it, once, and close the descriptor: the command does not get it. A standard one stays open, and is at its end."""
        if self._content is None:
            try:
                with open(self.number, "rb", closefd=self.number > 2) as file:
                    self._content = file.read()
            except (OSError, OverflowError, ValueError) as error:
                why = text_of(error.errno or 0) if isinstance(error, OSError) else "not a descriptor"
                raise PyrootError(f"{self.shown}: descriptor {self.number}: {why}", "open it first: --file 3:GUEST 3< FILE") from None
        return True

    def provide(self, glue: "Glue | LazyGlue") -> None:
        """Write it to a file of the session's own."""
        self.host = glue.new_file(self._content or b"", self.mode)

    def describe(self, guest: bytes) -> str:
        """Say what it is."""
        return f"{os.fsdecode(guest)} is what descriptor {self.number} held"


class Link(Place):
    """A symbolic link (--symlink)."""

    __slots__ = ("target",)

    flags = LINK_FLAG
    made = True

    def __init__(self, target: bytes, guest: bytes, shown: str) -> None:
        super().__init__(b"", guest, False, shown)
        self.target = target

    def provide(self, glue: "Glue | LazyGlue") -> None:
        """Make it among what is the session's own."""
        self.host = glue.new_link(self.target)

    def yields(self, below: bytes) -> bool:
        """It is left out where there is the same link."""
        return os.path.islink(below) and os.readlink(below) == self.target

    def describe(self, guest: bytes) -> str:
        """Say where it leads."""
        return f"{os.fsdecode(guest)} is a link to {os.fsdecode(self.target)}"


class Mask(Place):
    """A name that is gone, with all that is below it (--mask)."""

    __slots__ = ()

    flags = MASK_FLAG
    leads = False

    def __init__(self, guest: bytes, shown: str) -> None:
        super().__init__(b"/", guest, False, shown)

    def describe(self, guest: bytes) -> str:
        """Say what is gone."""
        return f"{os.fsdecode(guest)} is masked"


class Overlay(Place):
    """Directories of which the first may be written to and the others stay as they are, shown as one (--overlay)."""

    __slots__ = ("lower", "upper", "_held")

    def __init__(self, lower: list[bytes], guest: bytes, upper: bytes | None, shown: str) -> None:
        super().__init__(lower[0], guest, shown=shown)
        self.lower = lower  # the topmost first
        self.upper = upper  # None: what is written is thrown away
        self._held: "Upper | None" = None

    def prepare(self) -> bool:
        """Make the lower directories canonical."""
        for number, path in enumerate(self.lower):
            try:
                self.lower[number] = os.path.realpath(path, strict=True)
                missing = 0 if os.path.isdir(path) else errno.ENOTDIR
            except OSError as error:
                missing = error.errno or errno.EIO
            if missing:
                raise PyrootError(f"{self.shown}: {os.fsdecode(path)} on the host: {text_of(missing)}", "a lower directory must exist")
        self.host = self.lower[0]
        return True

    def provide(self, glue: "Glue | LazyGlue") -> None:
        """Get hold of UPPER, or make one."""
        if isinstance(glue, LazyGlue):
            self._held = glue.hold_upper(self.upper, self.shown, self.lower)

    def describe(self, guest: bytes) -> str:
        """Say where changes go."""
        where = f"go to {os.fsdecode(self.upper)}" if self.upper is not None else "are thrown away"
        return f"{os.fsdecode(guest)} is an overlay: changes {where}"

    def enter(self, core: "Core", guest: bytes) -> None:
        """Hand all layers to the core."""
        if guest != b"/":
            core.bind(self.lower[0], guest, self.flags)
        if self._held is None:
            return
        core.overlay(guest, [self._held.path, *self.lower], self._held.work)
        note(1, self.describe(guest))


class RootOverlay(Overlay):
    """The same of the root (--overlay-root)."""

    __slots__ = ()

    at_root = True

    def __init__(self, root: bytes, upper: bytes | None, shown: str) -> None:
        super().__init__([root], b"/", upper, shown)
