"""The wheel and the source archive that users install."""

import ast
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import ots_config

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORTED_AS = {
    "dotenv": "python-dotenv",
    "google": "protobuf",
    "pydantic_core": "pydantic",  # which pins it to one version
    "pydantic_settings": "pydantic-settings",
}
"""Distributions by the name of their module, where the two differ."""
OPTIONAL = {"cryptography", "pytest", "rich", "secretstorage", "shtab"}
"""Imported only where installed: the emulator's TLS, the pytest plugin, colours, completion, keyring's own on Linux."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both once."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


def test_the_wheel_holds_the_package(built: Path) -> None:
    """Every module of the package is in the wheel, with the mark that it is typed, the licence, and nothing else."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(next(name for name in names if name.endswith("/METADATA"))).decode()
        commands = wheel.read(next(name for name in names if name.endswith("/entry_points.txt"))).decode()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "ots_config").rglob("*.py")}
    assert modules <= names
    assert "ots_config/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {
        "ots_config",
        "tablestore-stubs",
        f"ots_config-{ots_config.__version__}.dist-info",
    }
    stubs = {f"tablestore-stubs/{path.name}" for path in (ROOT / "ots_config/stubs/tablestore").iterdir()}
    assert {name for name in names if name.startswith("tablestore-stubs/")} == stubs
    assert not any(name.startswith("ots_config/stubs") for name in names)
    assert {"tablestore-stubs/client.pyi", "tablestore-stubs/py.typed"} <= stubs
    assert f"\nVersion: {ots_config.__version__}\n" in metadata
    assert "ots-config = ots_config.cli:main" in commands
    assert "ots_config = ots_config.testing" in commands


def test_the_source_archive_can_be_tested(built: Path) -> None:
    """Whoever has the source archive has the tests and the examples too."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"Makefile", "LICENSE", "CHANGELOG.md", "tests/conftest.py", "examples/quickstart.py"} <= names


def test_the_core_dependencies() -> None:
    """Whatever the package imports is declared, with a lower bound, and nothing else is."""
    imported = set()
    for path in (ROOT / "ots_config").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                names = [node.module]
            imported |= {name.split(".")[0] for name in names}
    foreign = imported - sys.stdlib_module_names - {"ots_config"} - OPTIONAL
    requirements = [requirement.split(">=") for requirement in PROJECT["dependencies"]]
    assert {name for name, _ in requirements} == {IMPORTED_AS.get(name, name) for name in foreign}


def test_the_version() -> None:
    """``__version__`` is that of the installed distribution."""
    assert ots_config.__version__ == version("ots-config")


def test_the_entry_points() -> None:
    """The command and the pytest plugin are there once it is installed."""
    commands = entry_points(group="console_scripts", name="ots-config")
    plugins = entry_points(group="pytest11", name="ots_config")
    assert {point.value for point in (*commands, *plugins)} == {"ots_config.cli:main", "ots_config.testing"}
