"""pyroot: chroot and bind mounts for an ordinary user, by system call translation.

The public face. Names are resolved when they are first used, so that ``import pyroot`` costs nothing:

``run``, ``Popen``, ``create_subprocess_exec``
    run a command in a root, with the interface of the subprocess module and of asyncio (``pyroot.api``)
``Rootfs``
    a root, and what can be done with it (``pyroot.roots``)
``Binding``
    what appears where in the guest (``pyroot.binds``)
``PyrootError``
    a mistake of the caller, with ``message``, ``hint`` and ``exit_code`` (``pyroot.errors``)
``__version__``
    the version; this is the only place where it is written down
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.api import Popen, create_subprocess_exec, run
    from pyroot.binds import Binding
    from pyroot.errors import PyrootError
    from pyroot.roots import Rootfs

__all__ = ["Binding", "Popen", "PyrootError", "Rootfs", "__version__", "create_subprocess_exec", "run"]

_HOMES = {
    "run": "pyroot.api",
    "Popen": "pyroot.api",
    "create_subprocess_exec": "pyroot.api",
    "Binding": "pyroot.binds",
    "Rootfs": "pyroot.roots",
    "PyrootError": "pyroot.errors",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
