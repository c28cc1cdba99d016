"""The layers hold, and files stay small."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "ots_config").rglob("*.py"))


def test_the_layers_hold() -> None:
    """Imports go from the top down only, and each library has its one door."""
    pytest.importorskip("importlinter", reason="a tool of `make check`")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_small_and_say_what_they_are(path: Path) -> None:
    """Each module has fewer than 400 lines and begins with one sentence about it."""
    lines = path.read_text().splitlines()
    assert len(lines) < 400
    assert lines[0].startswith('"""')
    assert lines[0].rstrip('"').endswith((".", ":")) or not lines[0].endswith('"""')


def imports_of(path: Path) -> set[str]:
    """Return what a module imports of this package, in functions and for type checkers too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # ``from package import module`` imports the module; ``from module import name`` does not.
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def test_no_import_cycle() -> None:
    """No module imports itself on any way round, lazy imports and those for type checkers included."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in MODULES}
    # A package's __init__ only hands out what its modules define: it is no step of a cycle.
    graph = {
        name: {target for target in imports_of(path) if target in names and target != name}
        for name, path in names.items()
        if path.name != "__init__.py"
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_class_name_has_two_meanings() -> None:
    """Each class of the package has a name of its own, private ones too."""
    homes: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name.lstrip("_"), []).append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}
