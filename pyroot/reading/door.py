"""The one door to the files of a guest, for everything that looks at a root from outside a run.

Decides: how the view of a run becomes what is read here. `doctor`, `needs`, `explain` and `trace` see what the run has, or would have:
its bindings in its order, its symbolic links, its mount points for bindings that the root lacks.
"""

from __future__ import annotations

from pyroot.binding import GLUE_FLAG, MASK_FLAG, LazyGlue, build_view
from pyroot.elf.rooted import Rooted
from pyroot.errors import no_core
from pyroot.reading.view import Bound

_NOTHING = b"/dev/null/masked"  # a path that leads nowhere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot._fast import Core
    from pyroot.config import Config


def view_of(core: Core) -> Bound:
    """Give the files that a core shows; directories of glue are left out."""
    (root, _guest, _flags), *rest = core.bindings()
    return Bound(root, [(_NOTHING if flags & MASK_FLAG else host, guest) for host, guest, flags in rest if not flags & GLUE_FLAG])


def view_of_run(config: Config) -> Rooted:
    """Give the files that a run would show, with the bindings as it places them. Raises PyrootError if the run would.

    Mount points for bindings that the root lacks are made, as for a run, and removed at once: reading needs none.
    """
    bindings = config.bindings()
    if not bindings:
        return Rooted(config.rootfs)
    try:
        from pyroot._fast import Core
    except ImportError as error:
        raise no_core(error) from error
    glue = LazyGlue(config.rootfs, config.tmp_dirs, looks=True)
    try:
        return view_of(build_view(Core, config.rootfs, bindings, glue))
    finally:
        glue.remove()
