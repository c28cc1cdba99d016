"""The report of ``make proof``: its tables, each with the sentence that says how to read it."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

TITLES = {
    "exactly-once": (
        "Exactly once, through a network that breaks",
        (
            "Each write has rows of its own, so each application of it is counted. *Twice* counts writes that may not "
            "be repeated and were applied more than once; *lost* counts acknowledged writes that are not there; "
            "*false* counts errors that deny what happened. The official client has no setting for a proxy, and its "
            "errors do not say whether a write may have happened."
        ),
    ),
    "sequences": (
        "Sequences of faults",
        ("A state machine chooses faults of the network, the server and the client, one after another."),
    ),
    "soak": (
        "Soak",
        (
            "Calls for minutes while tokens expire, STS fails, keys are revoked, the clock steps and the "
            "server restarts. *Unexplained* counts calls that failed although a valid key and a live server could have "
            "served them."
        ),
    ),
    "deadlines": (
        "Deadlines",
        (
            "How long a call took in excess of the deadline that it was given. The official client has no deadline: it "
            "is given the same number as its timeout."
        ),
    ),
    "interruptions": (
        "Interruptions",
        (
            "An exception at a random moment of a call. *Lost* counts places of the pool that are gone, *foreign* "
            "responses of another request, *changed* exceptions that did not arrive as they were raised."
        ),
    ),
    "fuzzing": (
        "Hostile input",
        ("Every reader with random and damaged input: only the errors of this library may come out."),
    ),
    "secrets": (
        "Marked secrets",
        ("Every public name is used with a secret that can be recognized, and everything it shows is searched for it."),
    ),
    "tls": ("TLS", "Servers that must not be trusted, and how many requests of a call reached them."),
    "mutants": (
        "Mutation",
        ("Each mutant is one small change of the code; *killed* ones fail a test."),
    ),
    "survivors": ("Mutants that survive", "Each with the reason why no test can or should fail."),
}


_JOINED = {"deadlines", "tls"}


def write_report(path: Path, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Write the tables; those of proofs that did not run are left out.

    Args:
        path: The file.
        rows: Pairs of a table's name and a row.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for table, row in rows:
        # Of these two, one row is what several tests have found: a column for each client.
        first = next(iter(row), None)
        same = [other for other in found.get(table, []) if table in _JOINED and other[first] == row[first]]
        if same:
            same[0].update(row)
        else:
            found.setdefault(table, []).append(dict(row))
    head = (
        "# What was proven, and the figures\n\n"
        "`make proof` writes this page. A sample of each proof, with fixed seeds, runs in `make test`.\n\n"
        f"CPython {platform.python_version()}, tablestore {version('tablestore')}, {platform.system()} "
        f"{platform.machine()}.\n"
    )
    parts = [head]
    for name, (title, text) in TITLES.items():
        if name in found:
            parts.append(f"## {title}\n\n{text}\n\n{_table(found[name])}")
    path.write_text("\n".join(parts))


def _table(rows: list[dict[str, Any]]) -> str:
    columns = list(Counter(name for row in rows for name in row))
    numeric = {name for name in columns if all(isinstance(row.get(name, 0), int | float) for row in rows)}
    lines = [
        "| " + " | ".join(columns) + " |",
        "|" + "|".join(" ---: " if name in numeric else " --- " for name in columns) + "|",
    ]
    ordered = sorted(rows, key=lambda row: [str(row.get(name, "")) for name in columns if name not in numeric])
    lines += ["| " + " | ".join(_shown(row.get(name, "")) for name in columns) + " |" for row in ordered]
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value).replace("|", "\\|")
