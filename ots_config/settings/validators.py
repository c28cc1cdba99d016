"""What each setting accepts: types with pydantic's constraints, and functions for what those cannot check."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Discriminator, Field, SecretStr, Tag

from ots_config.settings import endpoint as endpoints
from ots_config.settings import files
from ots_config.settings.problems import Refusal

MAX_SECONDS = 2_000_000.0
"""The poll system call takes milliseconds as a 32-bit integer, and a socket refuses more."""

MAX_BUNDLE = 1 << 24
"""Bytes of a CA bundle; certifi's has 300 000."""

_INSTANCE = re.compile(r"[a-zA-Z0-9_-]+")
_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROVIDER = re.compile(r"[A-Za-z0-9_.+/-]+(\s*,\s*[A-Za-z0-9_.+/-]+)*")
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_PROXY_HINT = "Write http://HOST:PORT, or a dictionary with the keys http and https."
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TLS_VERSIONS = {
    f"{prefix}{each}": f"TLSv{each}" for prefix in ("", "tls", "tls-", "tlsv", "v") for each in ("1.2", "1.3")
}


# --- words and numbers: the constraints are pydantic's ------------------------------------------------------


def _flag(value: Any) -> Any:
    """Refuse numbers, which pydantic takes for true and false."""
    if isinstance(value, str):
        return value.strip()
    if not isinstance(value, bool):
        raise Refusal("is neither true nor false", "Write true or false.")
    return value


def to_number(value: Any) -> Any:
    """Return a text or a number of any type as an int or a float; anything else as None, which pydantic refuses."""
    for kind in (int, float) if isinstance(value, str) else ():
        with suppress(ValueError):
            return kind(value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    with suppress(OverflowError):
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    return None


def _word(value: Any) -> Any:
    """Return a word in the case and with the hyphens that ours have."""
    return value.strip().lower().replace("_", "-") if isinstance(value, str) else value


def _tls_version(value: Any) -> Any:
    return _TLS_VERSIONS.get(value.strip().lower(), value) if isinstance(value, str) else value


def _none(value: Any) -> Any:
    """Return None for the word."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


def _pair(value: Any) -> Any:
    """Return a text with a comma as its parts."""
    if isinstance(value, str) and "," in value:
        value = value.strip().strip("[]()").split(",")
    if isinstance(value, (list, tuple)) and len(value) != 2:
        raise Refusal(f"has {len(value)} parts", "Give one number of seconds, or two: to connect and to read.")
    return value


def _form(value: Any) -> str:
    return "pair" if isinstance(value, (list, tuple)) else "one"


Flag = Annotated[bool, BeforeValidator(_flag)]
Word = BeforeValidator(_word)
TLSWord = BeforeValidator(_tls_version)
NoneWord = BeforeValidator(_none)
Numeric = BeforeValidator(to_number)
Number = Annotated[float, Field(strict=True, ge=0, le=MAX_SECONDS, allow_inf_nan=False), Numeric]
Seconds = Annotated[float, Field(strict=True, gt=0, le=MAX_SECONDS, allow_inf_nan=False), Numeric]
Timeout = Annotated[
    Annotated[Seconds, Tag("one")] | Annotated[tuple[Seconds, Seconds], Tag("pair")],
    Discriminator(_form),
    BeforeValidator(_pair),
]


def refuse_mask(text: str) -> None:
    """Refuse asterisks: what is printed of settings, or dumped as JSON, has them in place of a secret."""
    if text and not text.strip("*"):
        raise Refusal("is a mask, which stands for a value that is not shown", "Give the value itself.")


# --- texts --------------------------------------------------------------------------------------------------


def one_line(value: Any, hint: str) -> str:
    """Return a text of one line that is not empty."""
    if not isinstance(value, str):
        raise Refusal("is not text", hint)
    if not value:
        raise Refusal("is empty", hint)
    refuse_mask(value)
    if CONTROL.search(value):
        raise Refusal("contains a line break or another control character", hint)
    return value


def line(hint: str) -> BeforeValidator:
    """Return a validator that accepts any text of one line."""
    return BeforeValidator(lambda value: one_line(value, hint))


def matching(pattern: re.Pattern[str], reason: str, hint: str) -> BeforeValidator:
    """Return a validator that accepts a text of one line that matches as a whole."""

    def check(value: Any) -> str:
        text = one_line(value, hint)
        if not pattern.fullmatch(text):
            raise Refusal(reason, hint)
        return text

    return BeforeValidator(check)


InstanceName = Annotated[
    str,
    matching(
        _INSTANCE,
        "contains characters other than letters, digits, - and _",
        "Copy the instance's name from the console.",
    ),
]
WORD = "contains characters other than letters, digits and + . / _ -"
ProviderName = Annotated[
    str, matching(_PROVIDER, WORD, "Name one provider of the chain, or several separated by commas.")
]


def secret_text(value: Any, hint: str) -> str:
    """Return the text of a wrapped secret."""
    if not isinstance(value, SecretStr):
        raise Refusal("is not text", hint)
    return value.get_secret_value()


def secret_line(hint: str) -> BeforeValidator:
    """Return a validator that accepts any text of one line that may contain a secret."""

    def check(value: Any) -> Any:
        one_line(secret_text(value, hint), hint)
        return value

    return BeforeValidator(check)


def _endpoint(value: Any) -> str:
    return endpoints.parse(value).url


def _region(value: Any) -> str:
    hint = "Give the region's id, as in cn-hangzhou."
    text = one_line(value, hint).strip().lower()
    if not _REGION.fullmatch(text):
        raise Refusal("is not a valid region id", hint)
    return text


def encoding(value: Any) -> str:
    """Accept the name of a text encoding that Python has."""
    hint = "Use utf8, which the service expects."
    text = one_line(value, hint).strip()
    with suppress(LookupError, ValueError):
        "a".encode(text)
        return text
    raise Refusal("is not a text encoding that Python knows", hint)


Endpoint = Annotated[str, BeforeValidator(_endpoint)]
Region = Annotated[str, BeforeValidator(_region)]
FileName = Annotated[str, line("Name a file.")]


def parse_json(text: str) -> Any:
    """Return what a text of JSON says; None if it is not valid JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


# --- files and proxies --------------------------------------------------------------------------------------


def ca_bundle(value: Any) -> Path | None:
    """Accept the file of at least one certificate in PEM format."""
    if value is None:
        return None
    hint = "Name a readable PEM file with the certificates of the authorities to trust."
    if not isinstance(value, (str, Path)) or not str(value).strip() or CONTROL.search(str(value)):
        raise Refusal("is not the name of a file", hint)
    path = files.expand(value)
    reason = "contains no valid certificate in PEM format"
    try:
        if _has_certificates(files.read_bytes(path, MAX_BUNDLE)[0].decode("latin-1")):
            return Path(path)
    except Refusal as refusal:
        reason = f"cannot be read: {refusal.reason}"
    raise Refusal(reason, hint)


def _has_certificates(text: str) -> bool:
    import ssl

    blocks = re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata="\n".join(blocks) or "-")
    except (ssl.SSLError, ValueError):
        return False
    return True


def proxies(value: Any) -> dict[str, str] | None:
    """Accept one proxy's URL for both schemes, or one for each."""
    value = _plain(value)
    if value is None or (isinstance(value, str) and not value):
        return None
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = parse_json(value)
    if isinstance(value, str):
        value = {"http": value, "https": value}
    if not isinstance(value, Mapping):
        raise Refusal("is neither a URL nor a dictionary", _PROXY_HINT)
    return {_proxied(key): _proxy(url) for key, url in value.items()} or None


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _proxied(key: Any) -> str:
    name = key.lower().removesuffix("://") if isinstance(key, str) else ""
    if name not in {"http", "https", "all"}:
        raise Refusal("has a key that is not one of http, https, all", _PROXY_HINT)
    return name


def _proxy(url: Any) -> str:
    text = one_line(_plain(url), _PROXY_HINT).strip()
    try:
        parts = urlsplit(text)
        refuse_mask(parts.username or "")
        valid = parts.scheme.lower() in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except Refusal:
        raise
    except ValueError:
        valid = False
    if not valid or not text.isascii() or " " in text:
        raise Refusal("is not the URL of a proxy", _PROXY_HINT)
    return text
