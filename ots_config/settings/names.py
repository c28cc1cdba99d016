"""What a setting is called in the environment, and which real name a misspelt one was meant to be."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

PREFIX = "OTS_"
ALIASES = {"OTS_INSTANCE": "instance_name"}

ENV_FILE = "OTS_ENV_FILE"
SECRETS_DIR = "OTS_SECRETS_DIR"
CONFIG_FILE = "OTS_CONFIG_FILE"
PROFILE = "OTS_PROFILE"

NEIGHBOURS = frozenset(
    {
        ENV_FILE,
        SECRETS_DIR,
        CONFIG_FILE,
        PROFILE,
    }
)
"""Names that share the prefix, and are read by the sources themselves."""

_VISIBLE = re.compile(r"[A-Z][A-Z0-9_.]{0,59}|[a-z][a-z0-9_.]{0,59}")


def variable(field: str) -> str:
    """Return the environment variable of a setting: ``OTS_RETRY__DEADLINE`` of ``retry.deadline``."""
    return PREFIX + field.upper().replace(".", "__")


def environment() -> dict[str, str]:
    """Return the variables of this process that have the prefix, in any case."""
    prefixes = tuple({PREFIX, PREFIX.lower(), PREFIX.capitalize()})
    return {name: os.environ[name] for name in os.environ if name.startswith(prefixes)}


def visible(name: str) -> str:
    """Return a name that may be shown, or ``""``: in mixed case or odd letters it may be a misplaced secret."""
    return name if _VISIBLE.fullmatch(name) else ""


def nearest(name: str, real: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return the real name that is most like this one, or ``""``."""
    plain = {candidate.lower().replace("_", "").replace(".", ""): candidate for candidate in real}
    written = re.sub(r"[^a-z0-9]", "", name.lower())
    found = get_close_matches(written, plain, n=1, cutoff=cutoff)
    return plain[found[0]] if found else ""


def meant(name: str, real: Collection[str], parts: Collection[str]) -> str:
    """Return the variable that a misspelt one was probably meant to be, or ``""`` if it is somebody else's.

    Args:
        name: The name found, which starts with the prefix in any case and is not a real one.
        real: The real names.
        parts: The fields that are nested, whose names with two underscores nobody else uses.
    """
    spelt = re.match(r"\w*", name, re.ASCII)
    bare = spelt[0][len(PREFIX) :] if spelt else ""
    family = next((f"{part.upper()}__" for part in parts if bare.upper().startswith(f"{part.upper()}__")), "")
    if family:
        own = [candidate for candidate in real if candidate.startswith(PREFIX + family)]
        return nearest(name, own, cutoff=0.0)
    bares = {candidate[len(PREFIX) :]: candidate for candidate in real}
    leaves = bares.keys() - {part.upper() for part in parts}
    if bare.upper() in bares:
        return bares[bare.upper()]
    # TEST_ENDPOINT and ENDPOINT_STAGING are names of the user's own, not slips of the pen.
    if any(bare.startswith(f"{other}_") or bare.endswith(f"_{other}") for other in leaves):
        return ""
    found = nearest(bare, bares, cutoff=0.8)
    return bares[found] if found else ""
