"""Write docs/man/pyroot.1 and pyroot/api.pyi from the option table: ``python docs/man/generate.py``."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from pyroot.usage import api_stub, man_page  # noqa: E402

if __name__ == "__main__":
    (HERE / "pyroot.1").write_text(man_page(), encoding="utf-8")
    (HERE.parent.parent / "pyroot/api.pyi").write_text(api_stub(), encoding="utf-8")
