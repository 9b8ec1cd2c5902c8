"""pyroot: chroot and bind mounts for an ordinary user, by system call translation.

The public face. Names are resolved when they are first used, so that ``import pyroot`` costs nothing:

``run``, ``Popen``
    run a command in a root, with the interface of the subprocess module (``pyroot.api``)
``PyrootError``
    a mistake of the caller, with ``message``, ``hint`` and ``exit_code`` (``pyroot.errors``)
``__version__``
    the version; this is the only place where it is written down
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.api import Popen, run
    from pyroot.errors import PyrootError

__all__ = ["Popen", "PyrootError", "__version__", "run"]

_HOMES = {"run": "pyroot.api", "Popen": "pyroot.api", "PyrootError": "pyroot.errors"}


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
