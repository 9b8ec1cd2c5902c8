"""Write what is generated from the tables: ``python -m pyroot.syscalls.generate``.

Decides: how it is written. The files are checked in, and a test makes them again. Not decided here: what they say (``render``).
"""

from __future__ import annotations

import os
import sys

from pyroot.syscalls.render import OUTPUTS


def main() -> int:
    """Write the generated files, each in one step: the old file may have another name, which keeps the contents."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for name, text in OUTPUTS.items():
        fresh = os.path.join(package, f"{name}.new")
        with open(fresh, "w", encoding="ascii") as file:
            file.write(text())
        os.replace(fresh, os.path.join(package, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
