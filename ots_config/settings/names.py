"""What a setting is called in the environment, and which real name a misspelt one was meant to be."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

ALIASES = {"instance": "instance_name"}
"""Second names of settings, in variables only: ``OTS_INSTANCE`` for ``OTS_INSTANCE_NAME``."""

CONTROLS = ("env_file", "secrets_dir", "config_file", "profile")
"""Variables with the prefix that the sources themselves read: ``OTS_ENV_FILE``, ..."""

FOREIGN = {
    "ak": "access_key_id",
    "access_keyid": "access_key_id",
    "sk": "access_key_secret",
    "secret_key": "access_key_secret",
    "token": "sts_token",
    "security_token": "sts_token",
    "region_id": "region",
    "timeout": "socket_timeout",
    "proxy": "proxies",
    "max_retries": "retry.max_attempts",
    "host": "endpoint",
    "url": "endpoint",
}
"""Names that other programs have for our settings, and what ours are; they set nothing."""

CLOUD_KEYS = {
    f"{prefix}_{theirs}": ours
    for prefix in ("ALIBABA_CLOUD", "ALIBABACLOUD", "ALICLOUD")
    for theirs, ours in (
        ("ACCESS_KEY_ID", "access_key_id"),
        ("ACCESS_KEY_SECRET", "access_key_secret"),
        ("SECURITY_TOKEN", "sts_token"),
    )
}
"""Alibaba Cloud's own variables of keys, which the credentials read from the environment and from no file."""

MAX_NAME = 60
"""Characters of the longest name that is compared with the real ones, or shown."""

_VISIBLE = re.compile(r"[A-Z][A-Z0-9_.]{0,59}|[a-z][a-z0-9_.]{0,59}")


def visible(name: str) -> str:
    """Return a name that may be shown, or ``""``: in mixed case or odd letters it may be a misplaced secret."""
    return name if _VISIBLE.fullmatch(name) else ""


def visible_file(path: Path | str) -> str:
    """Return the name of a file that may be shown: a misplaced secret has neither dots nor slashes."""
    text = str(path)
    if not text.isprintable():
        return "the file"
    return text if len(text) <= 20 or "." in text or "/" in text or "\\" in text else "the file"


def nearest(name: str, real: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return the real name that is most like this one, or ``""``."""
    if len(name) > MAX_NAME:
        return ""
    plain = {candidate.lower().replace("_", "").replace(".", ""): candidate for candidate in real}
    written = re.sub(r"[^a-z0-9]", "", name.lower())
    found = get_close_matches(written, plain, n=1, cutoff=cutoff)
    return plain[found[0]] if found else ""


def one_of(real: Collection[str], name: str) -> str:
    """Return the hint for a name that does not exist, given those that do."""
    near = nearest(name, real)
    if near:
        return f"Did you mean {near}?"
    return f"Choose one of {', '.join(sorted(real))}." if real else "There are none."


def meant(name: str, prefix: str, real: Mapping[str, str], parts: Collection[str]) -> str:
    """Return the variable that a misspelt one was probably meant to be, or ``""`` if it belongs to something else.

    Args:
        name: The name found, which starts with the prefix in any case and is not a real one.
        prefix: What the real names begin with.
        real: The field of each real name.
        parts: The fields that have nested settings; nothing else uses their names with two underscores.
    """
    spelt = re.match(r"\w*", name[: MAX_NAME + 1], re.ASCII)
    bare = spelt[0][len(prefix) :] if spelt else ""
    other = FOREIGN.get(bare.lower())
    if other:
        return next((candidate for candidate, field in real.items() if field == other), "")
    for part in parts:
        if bare.upper().startswith(f"{part.upper()}__"):
            own = [candidate for candidate, field in real.items() if field.startswith(f"{part}.")]
            return nearest(name, own, cutoff=0.0)
    bares = {candidate[len(prefix) :]: candidate for candidate in real if candidate.startswith(prefix)}
    if bare.upper() in bares:
        return bares[bare.upper()]
    # TEST_ENDPOINT and ENDPOINT_STAGING are names that a user chose, not misspelt ones.
    leaves = bares.keys() - {part.upper() for part in parts}
    if any(bare.startswith(f"{other}_") or bare.endswith(f"_{other}") for other in leaves):
        return ""
    found = nearest(bare, bares, cutoff=0.8)
    return bares[found] if found else ""
