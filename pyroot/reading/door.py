"""The one door to the files of a guest, for everybody who looks at a root from outside a run.

Decides: how the view of a run becomes what is read here. `doctor`, `needs`, `explain` and `trace` see what the run has, or would have:
its bindings in its order, its links, its places for bindings that the root lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroot.binding import GLUE_FLAG
from pyroot.reading.view import Bound

if TYPE_CHECKING:
    from pyroot._fast import Core


def view_of(core: Core) -> Bound:
    """Give the files that a core shows; places that only lead to others are left out."""
    (root, _guest, _flags), *rest = core.bindings()
    return Bound(root, [(host, guest) for host, guest, flags in rest if not flags & GLUE_FLAG])
