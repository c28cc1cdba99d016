"""Mutation testing of what decides, bounds and signs: ``python -m tests.proof.mutation FOLDER`` runs mutmut in a copy.

The result is a JSON file of rows that ``make proof`` puts into its report. It fails if a mutant survives for which
``survivors.toml`` has no reason.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = ("retry_decision", "retry_budget", "signing")
TESTS = (
    *("tests/request/test_signing.py", "tests/request/test_retry_decision.py", "tests/request/test_retry_table.py"),
    *("tests/request/test_retry_policy.py", "tests/request/test_policy_failures.py"),
    "tests/proof/test_exact_behaviour.py",
)
_KILLED = {"killed", "timeout", "suspicious", "segfault"}
_CONFIG = """
[tool.mutmut]
source_paths = ["ots_config"]
only_mutate = {modules}
pytest_add_cli_args_test_selection = {tests}
also_copy = ["ots_config", "tests"]
"""


def copy(folder: Path) -> None:
    """Copy what is tested, with a configuration of mutmut; the project's own has none."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".hypothesis", "benchmarks")
    for name in ("ots_config", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    modules = [f"ots_config/request/{module}.py" for module in MODULES]
    config = _CONFIG.format(modules=json.dumps(modules), tests=json.dumps(TESTS))
    for name in ("README.md",):
        shutil.copy(ROOT / name, folder / name)
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + config)


def mutmut(folder: Path, *arguments: str) -> str:
    """Run mutmut and return what it printed."""
    program = Path(sys.executable).with_name("mutmut")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and arguments[0] == "run":
        sys.stderr.write(done.stdout[-2000:] + done.stderr[-2000:])
        raise SystemExit(done.returncode)
    return done.stdout


def change_of(folder: Path, mutant: str) -> tuple[str, str]:
    """Return the line that a mutant changes, before and after."""
    lines = mutmut(folder, "show", mutant).splitlines()
    before = [line[1:].strip() for line in lines if re.match(r"-(?!--)", line)]
    after = [line[1:].strip() for line in lines if re.match(r"\+(?!\+\+)", line)]
    return " ".join(before), " ".join(after)


def reason_for(module: str, before: str, after: str, reasons: list[dict[str, str]]) -> str | None:
    """Return why a mutant survives, None if nobody has said so."""
    for reason in reasons:
        if reason["module"] == module and reason["before"] in before and reason["after"] in after:
            return reason["reason"]
    return None


def main(folder: Path) -> None:
    """Run the mutants and write ``mutants.json`` into the folder."""
    copy(folder)
    mutmut(folder, "run", "--max-children", "2")
    reasons = tomllib.loads((ROOT / "tests/proof/survivors.toml").read_text())["survivor"]
    counts: dict[str, Counter[str]] = {module: Counter() for module in MODULES}
    rows: list[tuple[str, dict[str, object]]] = []
    unexplained: list[str] = []
    for line in mutmut(folder, "results", "--all", "true").splitlines():
        mutant, _, state = line.strip().partition(": ")
        module = mutant.removeprefix("ots_config.request.").partition(".")[0]
        if module not in counts:
            continue
        killed = state in _KILLED
        counts[module]["killed" if killed else "survived"] += 1
        if killed:
            continue
        before, after = change_of(folder, mutant)
        reason = reason_for(module, before, after, reasons)
        if reason is None:
            unexplained.append(f"{mutant} ({state}):\n  - {before}\n  + {after}")
        rows.append(
            ("survivors", {"module": module, "line": f"`{before}`", "mutant": f"`{after}`", "reason": reason or "?"})
        )
    for module, count in counts.items():
        rows.append(("mutants", {"module": module, "mutants": count.total(), **count}))
    (folder / "mutants.json").write_text(json.dumps(rows))
    if unexplained:
        sys.exit("mutants survive without a reason:\n" + "\n".join(unexplained))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
