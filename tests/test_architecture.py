"""The layers hold, and files stay small."""

import subprocess
import sys
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
