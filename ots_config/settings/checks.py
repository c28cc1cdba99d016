"""What each setting accepts: one function per kind of value, none of which ever repeats a text it refuses."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Collection, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from ots_config.settings import endpoint as endpoints
from ots_config.settings.names import nearest
from ots_config.settings.problems import Refusal

LONGEST = 2_000_000.0
"""Seconds; the poll system call takes milliseconds as a 32-bit integer, and a socket refuses more."""

MOST_CONNECTIONS = 65_535

_KEY_ID = re.compile(r"[a-zA-Z0-9+./_-]+")
_INSTANCE = re.compile(r"[a-zA-Z0-9_-]+")
_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROVIDER = re.compile(r"[A-Za-z0-9_.+/-]+")
_YES = {"true", "1", "yes", "on"}
_NO = {"false", "0", "no", "off"}
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_PROXY_HINT = "Write it as http://HOST:PORT, or as a dictionary with the keys http and https."
_UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _text(value: Any, hint: str) -> str:
    if not isinstance(value, str):
        raise Refusal("it is not text", hint)
    if not value:
        raise Refusal("it is empty", hint)
    if _UNSPEAKABLE.search(value):
        raise Refusal("it holds a line break or another control character", hint)
    return value


def _matching(pattern: re.Pattern[str], letters: str, hint: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = _text(value, hint)
        if not pattern.fullmatch(text):
            raise Refusal(f"it holds other characters than {letters}", hint)
        return text

    return check


instance_name: Callable[[Any], str] = _matching(
    _INSTANCE, "letters, digits, - and _", "Copy the instance's name from the console."
)
access_key_id: Callable[[Any], str] = _matching(
    _KEY_ID, "letters, digits and + . / _ -", "Copy the AccessKey ID from the console."
)
provider_name: Callable[[Any], str] = _matching(
    _PROVIDER, "letters, digits and + . / _ -", "Name one provider of the chain."
)


def text(hint: str) -> Callable[[Any], str]:
    """Return a check that accepts any text that is one line."""
    return lambda value: _text(value, hint)


def hidden(hint: str) -> Callable[[Any], SecretStr]:
    """Return a check that accepts any text that is one line and may hold a secret."""

    def check(value: Any) -> SecretStr:
        if not isinstance(value, SecretStr):
            raise Refusal("it is not text", hint)
        _text(value.get_secret_value(), hint)
        return value

    return check


def several(hint: str) -> Callable[[Any], tuple[str, ...]]:
    """Return a check that accepts texts of one line each: a list of them, or one text with commas between."""

    def check(value: Any) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)) or not parts:
            raise Refusal("it is neither a text nor a list of texts", hint)
        return tuple(_text(part.strip() if isinstance(part, str) else part, hint) for part in parts)

    return check


def policy(value: Any) -> str:
    """Accept a RAM policy: a dictionary, or its JSON on any number of lines."""
    hint = 'Write it as JSON, {"Version": "1", "Statement": [...]}.'
    document = _mapping(value) if isinstance(value, str) else value
    if not isinstance(document, Mapping):
        raise Refusal("it is no JSON object", hint)
    try:
        return value if isinstance(value, str) and not _UNSPEAKABLE.search(value) else json.dumps(document)
    except (TypeError, ValueError, RecursionError):
        pass
    raise Refusal("it cannot be written as JSON", hint)


def endpoint(value: Any) -> str:
    """Accept the URL of a data endpoint, in its normal form."""
    return endpoints.parse(value).url


def region(value: Any) -> str:
    """Accept a region's id, in lower case."""
    hint = "Give the region's id, as in cn-hangzhou."
    text = _text(value, hint).strip().lower()
    if not _REGION.fullmatch(text):
        raise Refusal("it is not a region's id", hint)
    return text


def access_key_secret(value: Any) -> SecretStr:
    """Accept an AccessKey secret; it reaches no header, but a line break in it is always a slip."""
    hint = "Copy the AccessKey secret again."
    if not isinstance(value, SecretStr):
        raise Refusal("it is not text", hint)
    text = _text(value.get_secret_value(), hint)
    if text != text.strip():
        raise Refusal("it begins or ends with white space", hint)
    return value


def sts_token(value: Any) -> SecretStr | None:
    """Accept an STS token; an empty one means none."""
    hint = "Fetch the token again, and pass it on whole."
    if not isinstance(value, SecretStr):
        raise Refusal("it is not text", hint)
    text = value.get_secret_value()
    if not text:
        return None
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise Refusal("it holds characters that no HTTP header may hold", hint)
    return value


def encoding(value: Any) -> str:
    """Accept the name of a text encoding that Python has."""
    hint = "Use utf8, which the service expects."
    text = _text(value, hint).strip()
    try:
        "a".encode(text)
    except (LookupError, ValueError):
        known = False
    else:
        known = True
    if not known:
        raise Refusal("Python has no such text encoding", hint)
    return text


def logger_name(value: Any) -> str:
    """Accept a logger's name, or a log file's."""
    return _text(value, "Give a logger's name, or a file name that ends in .log.")


def choice(*choices: str, aliases: Mapping[str, str] | None = None) -> Callable[[Any], str]:
    """Return a check that accepts one of a few words in any case."""
    words = {word.lower(): word for word in choices} | dict(aliases or {})

    def check(value: Any) -> str:
        listed = ", ".join(choices)
        found = words.get(value.strip().lower().replace("_", "-")) if isinstance(value, str) else None
        if found is None:
            near = nearest(value, choices) if isinstance(value, str) else ""
            raise Refusal(f"it is none of {listed}", f"Did you mean {near}?" if near else f"Choose one of {listed}.")
        return found

    return check


def boolean(value: Any) -> bool:
    """Accept true or false, also as words."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _YES | _NO:
        raise Refusal("it is neither true nor false", "Write true or false.")
    return word in _YES


def _number(value: Any, hint: str) -> float:
    """Return a finite number; an int stays one, a bool is none."""
    number: float | None = None
    if isinstance(value, str):
        try:
            number = int(value) if re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value) else float(value)
        except ValueError:
            number = None
    elif isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
    elif isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
    if number is None:
        raise Refusal("it is not a number", hint)
    if isinstance(number, float) and not math.isfinite(number):
        raise Refusal("it is not a finite number", hint)
    return number


def seconds(*, zero: bool = False) -> Callable[[Any], float]:
    """Return a check that accepts a positive number of seconds, or also zero."""
    hint = f"Give {'no' if zero else 'a positive'} number of seconds{' below zero' if zero else ''}."

    def check(value: Any) -> float:
        number = _number(value, hint)
        if number < 0 or (number == 0 and not zero):
            raise Refusal(f"{_brief(number)} is not positive", hint)
        if number > LONGEST:
            raise Refusal(f"it is longer than {LONGEST:.0f} seconds", hint)
        return number

    return check


_positive = seconds()


def number(what: str) -> Callable[[Any], float]:
    """Return a check that accepts a number that is not below zero."""
    hint = f"Give {what}, 0 or more."

    def check(value: Any) -> float:
        accepted = _number(value, hint)
        if not 0 <= accepted <= LONGEST:
            raise Refusal(f"{_brief(accepted)} is out of range", hint)
        return accepted

    return check


def deadline(value: Any) -> float | None:
    """Accept a positive number of seconds, or none for no limit."""
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return None
    return _positive(value)


def socket_timeout(value: Any) -> float | tuple[float, float]:
    """Accept one positive number of seconds, or a pair of them: to connect and to read."""
    if isinstance(value, str) and "," in value:
        value = value.strip().strip("[]()").split(",")
    if not isinstance(value, (tuple, list)):
        return _positive(value)
    if len(value) != 2:
        raise Refusal(f"it has {len(value)} parts", "Give one number of seconds, or two: to connect and to read.")
    return _positive(value[0]), _positive(value[1])


def count(most: int) -> Callable[[Any], int]:
    """Return a check that accepts a whole number from 1 to ``most``."""
    hint = f"Give a whole number from 1 to {most}."

    def check(value: Any) -> int:
        number = _number(value, hint)
        if not isinstance(number, int):
            raise Refusal("it is not a whole number", hint)
        if not 1 <= number <= most:
            raise Refusal(f"{_brief(number)} is out of range", hint)
        return number

    return check


def _brief(number: float) -> str:
    return f"{number:.6g}"


def ca_bundle(value: Any) -> Path | None:
    """Accept the file of at least one certificate in PEM format."""
    if value is None:
        return None
    hint = "Name a readable PEM file with the certificates of the authorities to trust."
    if not isinstance(value, (str, Path)) or not str(value).strip() or _UNSPEAKABLE.search(str(value)):
        raise Refusal("it is not the name of a file", hint)
    path = Path(os.path.expanduser(value))  # noqa: PTH111 - pathlib's raises where there is no home
    try:
        text = path.read_bytes().decode("latin-1") if path.is_file() else None
        reason = "there is no such file"
    except OSError as error:
        text, reason = None, f"the file cannot be read: {error.strerror}"
    if text is None:
        raise Refusal(reason, hint)
    if not _certificates(text):
        raise Refusal("the file holds no valid certificate in PEM format", hint)
    return path


def _certificates(text: str) -> int:
    import ssl

    start, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    blocks = re.findall(f"{start}.*?{end}", text, re.DOTALL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata="\n".join(blocks) or "-")
    except (ssl.SSLError, ValueError):
        return 0
    return len(blocks)


def proxies(value: Any) -> dict[str, str] | None:
    """Accept one proxy's URL for both schemes, or one for each."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _mapping(value)
    if isinstance(value, str):
        value = {"http": value, "https": value}
    if not isinstance(value, Mapping):
        raise Refusal("it is neither a URL nor a dictionary", _PROXY_HINT)
    return {_proxied(key): _proxy(url) for key, url in value.items()} or None


def _mapping(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _proxied(key: Any) -> str:
    name = key.lower().removesuffix("://") if isinstance(key, str) else ""
    if name not in ("http", "https", "all"):
        raise Refusal("a key is none of http, https, all", _PROXY_HINT)
    return name


def _proxy(url: Any) -> str:
    text = _text(url, _PROXY_HINT).strip()
    try:
        parts = urlsplit(text)
        sound = parts.scheme.lower() in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not text.isascii() or " " in text:
        raise Refusal("it is not the URL of a proxy", _PROXY_HINT)
    return text


def unusual(instance: str) -> bool:
    """Whether an instance's name breaks the service's rules for names that people choose."""
    name = instance.lower()
    return not re.fullmatch(r"[a-z][a-z0-9-]{1,14}[a-z0-9]", name) or any(
        part in name for part in ("ali", "ay", "ots", "taobao", "admin")
    )


def one_of(names: Collection[str], name: str) -> str:
    """Return the hint for a name that does not exist among those that do."""
    near = nearest(name, names)
    if near:
        return f"Did you mean {near}?"
    return f"Choose one of {', '.join(sorted(names))}." if names else "There are none."
