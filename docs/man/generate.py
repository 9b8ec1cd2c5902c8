"""Write what comes from the option tables: ``python docs/man/generate.py``.

That is the man page, pyroot/api.pyi, the tables of docs/PYTHON.md, and the completions.
"""

import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

import pyroot._fast  # noqa: E402

if not hasattr(pyroot._fast, "Core"):  # a tree without the compiled core: the tables need its names only
    core = ModuleType("pyroot._fast")
    core.__getattr__ = lambda name: type(name, (Exception,), {})  # type: ignore[method-assign]
    sys.modules["pyroot._fast"] = core

from pyroot.usage import api_page, api_stub, man_page  # noqa: E402
from pyroot.verbs.completion import FILES  # noqa: E402

if __name__ == "__main__":
    (HERE / "pyroot.1").write_text(man_page(), encoding="utf-8")
    (HERE.parent.parent / "pyroot/api.pyi").write_text(api_stub(), encoding="utf-8")
    page = HERE.parent / "PYTHON.md"
    if page.exists():
        page.write_text(api_page(page.read_text("utf-8")), encoding="utf-8")
    folder = HERE.parent / "completion"
    folder.mkdir(exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text(), encoding="utf-8")
