"""Run pyroot without ``-r`` where the root of the mount namespace is a case's: ``inside.py PACKAGES ROOT RIGHTS WORD...``.

The interpreter has started in the machine's own root.  It changes the root of its mount namespace, becomes the ordinary user
and then is pyroot.  What it imports from then on is found through descriptors, since its files have no path in there.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys

PR_SET_DUMPABLE = 4


def keep_directories(packages: str) -> None:
    """Let the module path lead through descriptors."""
    found = [os.open(path, os.O_PATH) for path in (packages, *sys.path) if os.path.isdir(path)]
    sys.path[:] = [f"/proc/self/fd/{handle}" for handle in found]
    importlib.invalidate_caches()


def main() -> int:
    """Change over and run; the words are pyroot's."""
    packages, root, rights, *words = sys.argv[1:]
    tests = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path.insert(0, tests)
    sides = importlib.import_module("tests.oracle.sides")
    nested = importlib.import_module("tests.oracle.nested")
    sys.path.remove(tests)
    keep_directories(packages)
    # what pyroot writes down of its session must not lie in the case's tree
    sides.mount("runtime", "/run", "tmpfs", 0, "mode=1777")
    os.environ["XDG_RUNTIME_DIR"] = f"/proc/self/fd/{os.open('/run', os.O_PATH)}"
    nested.make_topmost(root)
    sides.drop_rights(rights == "nested")
    # who changes its ids is no longer one whose descriptors others of its kind may use, until it starts a program
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    status: int = importlib.import_module("pyroot.cli").main(words)
    return status


if __name__ == "__main__":
    sys.exit(main())
