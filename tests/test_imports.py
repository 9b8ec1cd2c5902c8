"""What the package's modules may import of each other, and who may look at the environment: read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.as_user import package

PYROOT = Path(package(), "pyroot")
# Who looks at the environment: the one place, the way in (before anything else is imported), and what runs when pyroot is built.
LOOK_AT_THE_ENVIRONMENT = {"pyroot.environment", "pyroot._start", "pyroot.guest.build"}


def modules(top: Path = PYROOT) -> dict[str, Path]:
    """Return every module of the package by its name."""
    found = {}
    for path in sorted(top.rglob("*.py")):
        parts = [top.name, *path.relative_to(top).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_for_types(node: ast.AST) -> bool:
    """Tell whether a statement runs for a type checker only."""
    test = node.test if isinstance(node, ast.If) else None
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING" or isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"


def imports(node: ast.AST) -> Iterator[str]:
    """Name what a module imports. What it imports within functions counts as well: that is a circle too, only one that waits."""
    if is_for_types(node):
        for statement in node.orelse if isinstance(node, ast.If) else ():
            yield from imports(statement)
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "absolute imports only"
        for alias in node.names:
            yield f"{node.module}.{alias.name}"
            yield str(node.module)
    for child in ast.iter_child_nodes(node):
        yield from imports(child)


def graph(top: Path = PYROOT) -> dict[str, set[str]]:
    """Return which module imports which. A package's own file is no knot: `from pyroot.a import b` is about `pyroot.a.b`."""
    known = modules(top)
    packages = {name for name, path in known.items() if path.name == "__init__.py"}
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        wanted = set(imports(ast.parse(path.read_text(encoding="utf-8"))))
        found[name] = {one for one in wanted if one in known and one != name and one not in packages}
    return found


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that can all be reached from each other (Tarjan)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    pending: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        index[name] = lowest[name] = len(index)
        pending.append(name)
        for other in sorted(edges[name]):
            if other not in index:
                visit(other)
            if other in pending:
                lowest[name] = min(lowest[name], lowest[other])
        if lowest[name] == index[name]:
            at = pending.index(name)
            members = set(pending[at:])
            del pending[at:]
            if len(members) > 1:
                found.append(members)

    for name in edges:
        if name not in index:
            visit(name)
    return found


def test_no_module_leads_back_to_itself() -> None:
    assert circles(graph()) == []


def test_a_circle_is_seen(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / "__init__.py").write_text("")
    (top / "a.py").write_text("from top import b\n")
    (top / "b.py").write_text("def later():\n    from top.c import x\n")
    (top / "c.py").write_text("TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from top import a\n")
    assert circles(graph(top)) == []
    (top / "c.py").write_text("if True:\n    import top.a\n")
    assert circles(graph(top)) == [{"top.a", "top.b", "top.c"}]


def environment_in(path: Path) -> list[int]:
    """Return the lines of a module that look at the environment."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in names or isinstance(node, ast.ImportFrom) and {
            alias.name for alias in node.names
        } & names:
            found.append(node.lineno)
    return found


def test_the_environment_is_looked_at_in_one_place() -> None:
    assert {name for name, path in modules().items() if environment_in(path)} == LOOK_AT_THE_ENVIRONMENT


def test_every_variable_of_ours_is_told_to_users() -> None:
    from pyroot import environment, usage

    told = " ".join(names for names, _text in usage.ENVIRONMENT)
    tree = ast.parse(Path(environment.__file__).read_text(encoding="utf-8"))
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    names = {value.decode() if isinstance(value, bytes) else value for value in values if isinstance(value, (bytes, str))}
    ours = {name for name in names if name.startswith(("PYROOT_", "PROOT_")) and " " not in name}
    assert {"PYROOT_NO_SECCOMP", "PROOT_TMP_DIR", "PYROOT_DEBUG"} <= ours
    assert all(name in told for name in ours - {environment.STATE.decode()})
