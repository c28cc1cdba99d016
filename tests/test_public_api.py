"""The public names: complete, resolvable, and loaded only when they are used."""

import subprocess
import sys
from pathlib import Path

import pytest

import ots_config

HEAVY = ("pydantic", "requests", "keyring", "tablestore", "tenacity", "aiohttp", "numpy", "cryptography", "urllib3")


def test_all_is_sorted_and_resolves() -> None:
    """``__all__`` is sorted, and each name in it is there."""
    assert sorted(ots_config.__all__) == ots_config.__all__
    for name in ots_config.__all__:
        assert getattr(ots_config, name).__name__ == name
    assert dir(ots_config) == ots_config.__all__


def test_the_three_lists_agree() -> None:
    """``__all__``, the table of homes and the imports for type checkers name the same."""
    import ast

    module = ast.parse(Path(ots_config.__file__).read_text())
    block = next(node for node in module.body if isinstance(node, ast.If))
    imported = {
        alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ots_config")
        for alias in node.names
    }
    assert imported == set(ots_config.__all__) == set(ots_config._LAZY)


def test_unknown_names() -> None:
    """A name that is not there is an ``AttributeError``, as of any module."""
    with pytest.raises(AttributeError, match="no_such_name"):
        ots_config.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    "statement", ["import ots_config", "import ots_config.errors", "from ots_config import SettingsProblem"]
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    """In a fresh interpreter none of the libraries is loaded."""
    code = f"import sys; {statement}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_official_sdk_is_quiet() -> None:
    """Loading the client prints nothing, though the SDK warns about its native codec when it is imported."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", "from ots_config import OTSClient, create_client"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_version() -> None:
    """``__version__`` is that of the distribution."""
    from importlib.metadata import version

    assert ots_config.__version__ == version("ots-config")


def test_no_client_loads_numpy_or_aiohttp() -> None:
    """Half of the SDK's import is put off until it is used; whoever uses it gets the real modules."""
    program = (
        "import sys; from ots_config import OTSClient; assert not {'numpy', 'aiohttp'} & sys.modules.keys();"
        "OTSClient('http://127.0.0.1:1', 'id', 'secret', 'demo');"
        "from ots_config import AsyncOTSClient; AsyncOTSClient('http://127.0.0.1:1', 'id', 'secret', 'demo');"
        "assert not {'numpy', 'aiohttp'} & sys.modules.keys();"
        "import aiohttp.web, numpy; aiohttp.web.Application, numpy.ndarray"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_import_disturbs_no_other_thread() -> None:
    """A thread that imports what the SDK imports, at the same moment, gets it whole."""
    program = (
        "import sys, threading\n"
        "seen = []\n"
        "def other():\n"
        "    while 'tablestore' not in sys.modules: pass\n"
        "    import aiohttp.web, numpy.random\n"
        "    seen.append((aiohttp.web.Application, numpy.random.default_rng))\n"
        "thread = threading.Thread(target=other); thread.start()\n"
        "from ots_config import OTSClient\n"
        "thread.join(); assert seen\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_plain_checkout_has_a_version_and_a_client(tmp_path: Path) -> None:
    """Without an installed distribution the package still knows its version, and a client can be made."""
    package = Path(ots_config.__file__).parent
    (tmp_path / "ots_config").symlink_to(package, target_is_directory=True)
    program = (
        "import sys, importlib.metadata as metadata\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "known = metadata.Distribution.from_name\n"
        "def absent(name):\n"
        "    if name.replace('_', '-') == 'ots-config':\n"
        "        raise metadata.PackageNotFoundError(name)\n"
        "    return known(name)\n"
        "metadata.Distribution.from_name = absent\n"
        "import ots_config\n"
        "client = ots_config.OTSClient('http://127.0.0.1:1', 'id', 'secret', 'demo')\n"
        "print(ots_config.__version__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ots_config.__version__
