"""What each setting accepts: types with pydantic's constraints, and functions for what those cannot check."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Discriminator, Field, SecretStr, Tag

from ots_config import credential_rules
from ots_config.settings import endpoint as endpoints
from ots_config.settings import files
from ots_config.settings.problems import Refusal

MAX_SECONDS = 2_000_000.0  # the poll system call takes milliseconds as a 32-bit integer

MAX_SHORT = 1000
"""Seconds from which on a time that one waits is probably meant in milliseconds."""

MAX_BUNDLE = 1 << 24  # bytes; certifi's has 300 000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
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


def _number(value: Any) -> Any:
    """Return a text or a number of any type as an int or a float; anything else as None, which pydantic refuses."""
    for kind in (int, float) if isinstance(value, str) else ():
        with suppress(ValueError):
            return kind(value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    with suppress(OverflowError):
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    return None


def _short(value: Any) -> Any:
    """Refuse a time of milliseconds."""
    number = _number(value)
    if number is not None and MAX_SHORT <= number <= 1e12:
        raise Refusal(f"is {MAX_SHORT} or more, as if it were milliseconds", "Give seconds, as in 50.")
    return number


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
Numeric = BeforeValidator(_number)
Number = Annotated[float, Field(strict=True, ge=0, le=MAX_SECONDS, allow_inf_nan=False), Numeric]
Seconds = Annotated[float, Field(strict=True, gt=0, le=MAX_SECONDS, allow_inf_nan=False), Numeric]
ShortTime = Annotated[Seconds, BeforeValidator(_short)]
Timeout = Annotated[
    Annotated[ShortTime, Tag("one")] | Annotated[tuple[ShortTime, ShortTime], Tag("pair")],
    Discriminator(_form),
    BeforeValidator(_pair),
]

# --- texts: one line each, with what else they have to be ---------------------------------------------------

Check = Callable[[str], str]
"""Returns what is wrong with a text, ``""`` if nothing is."""


def _matches(pattern: str, reason: str) -> Check:
    match = re.compile(pattern, re.ASCII).fullmatch
    return lambda text: "" if match(text) else reason


def refuse_mask(text: str) -> None:
    """Refuse asterisks: what is printed of settings, or dumped as JSON, has them in place of a secret."""
    if text and not text.strip("*"):
        raise Refusal("is a mask, which stands for a value that is not shown", "Give the value itself.")


def _line(value: Any, hint: str, check: Check | None = None) -> str:
    """Return a text of one line that is not empty."""
    if not isinstance(value, str):
        raise Refusal("is not text", hint)
    if not value:
        raise Refusal("is empty", hint)
    refuse_mask(value)
    reason = "contains a line break or another control character" if _CONTROL.search(value) else ""
    reason = reason or (check(value) if check else "")
    if reason:
        raise Refusal(reason, hint)
    return value


def line(hint: str, check: Check | None = None) -> BeforeValidator:
    """Return a validator that accepts a text of one line."""
    return BeforeValidator(lambda value: _line(value, hint, check))


def secret_line(hint: str, check: Check | None = None) -> BeforeValidator:
    """Return a validator that accepts a secret of one line; a source has wrapped it already."""

    def accept(value: Any) -> Any:
        _line(value.get_secret_value() if isinstance(value, SecretStr) else None, hint, check)
        return value

    return BeforeValidator(accept)


_WORD = "contains characters other than letters, digits and + . / _ -"
_ROLE_HINT = "Write acs:ram::ACCOUNT:role/NAME."
_role = _matches(credential_rules.ROLE_ARN.pattern, "is not a valid role ARN")


def _masked_id(text: str) -> str:
    """Refuse a masked id, as ``repr`` shows it."""
    if "****" in text:
        refuse_mask("*")
    return _matches(r"[a-zA-Z0-9+./_-]+", _WORD)(text)


def _stripped(text: str) -> str:
    return "" if text == text.strip() else "begins or ends with white space"


InstanceName = Annotated[
    str,
    line(
        "Copy the instance's name from the console.",
        _matches(r"[a-zA-Z0-9_-]+", "contains characters other than letters, digits, - and _"),
    ),
]
ProviderName = Annotated[
    str,
    line(
        "Name one provider of the chain, or several separated by commas.",
        _matches(r"[A-Za-z0-9_.+/-]+(\s*,\s*[A-Za-z0-9_.+/-]+)*", _WORD),
    ),
]
FileName = Annotated[str, line("Name a file.")]
LoggerName = Annotated[str, line("Give a logger's name, or a file name that ends in .log.")]
ProfileName = Annotated[str, line("Name a profile.")]
EntryName = Annotated[str, line("Name an entry.")]
RoleName = Annotated[str, line("Name a role.")]
AccessKeyID = Annotated[str, line("Copy the AccessKey ID from the console.", _masked_id)]
AccessKeySecret = Annotated[SecretStr, secret_line("Copy the AccessKey secret again.", _stripped)]
Command = Annotated[SecretStr, secret_line("Give a command line.")]
CredentialsURI = Annotated[
    SecretStr,
    secret_line("Give a URL that begins with https://.", partial(credential_rules.url_problem, http="private")),
]
MetadataURL = Annotated[
    str, line("Write http://100.100.100.200.", partial(credential_rules.url_problem, http="private"))
]
RoleARN = Annotated[str, line(_ROLE_HINT, _role)]
ProviderARN = Annotated[
    str,
    line(
        "Write acs:ram::ACCOUNT:oidc-provider/NAME.",
        _matches(credential_rules.PROVIDER_ARN.pattern, "is not the ARN of an OIDC provider"),
    ),
]
SessionName = Annotated[
    str,
    line(
        "Use 2 to 64 letters, digits, dots, @, _ and -.",
        _matches(credential_rules.SESSION_NAME.pattern, "is not a session's name"),
    ),
]
ExternalID = Annotated[
    str,
    line(
        "Use 2 to 1224 letters, digits and + = , . @ : / - _.",
        _matches(credential_rules.EXTERNAL_ID.pattern, "is not an external id"),
    ),
]


def _endpoint(value: Any) -> str:
    return endpoints.parse(value).url


def _region(value: Any) -> str:
    text = _line(value, "Give the region's id, as in cn-hangzhou.").strip().lower()
    near = endpoints.region_hint(text)
    if near or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text):
        reason = "is a zone" if near and re.fullmatch(r".*[0-9-][a-z]", text) else "is not a valid region id"
        raise Refusal(reason, near or "Give the region's id, as in cn-hangzhou.")
    return text


def _encoding(value: Any) -> str:
    """Accept the name of a text encoding that Python has."""
    hint = "Use utf8, which the service expects."
    text = _line(value, hint).strip()
    with suppress(LookupError, ValueError):
        "a".encode(text)
        return text
    raise Refusal("is not a text encoding that Python knows", hint)


def _sts_token(value: Any) -> Any:
    """Accept an STS token; an empty one means none."""
    hint = "Fetch the token again, and pass all of it."
    if not isinstance(value, SecretStr):
        raise Refusal("is not text", hint)
    text = value.get_secret_value()
    refuse_mask(text)
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise Refusal("contains characters that an HTTP header cannot contain", hint)
    return value if text else None


def _expiration(value: Any) -> datetime | None:
    """Accept a time with its zone, or the seconds since 1970, and return it in UTC."""
    hint = "Write it with its zone, as in 2026-01-31T08:00:00Z, or as seconds since 1970."
    number = _number(value.strip() if isinstance(value, str) else value)
    with suppress(ValueError, OverflowError, OSError):
        if number is not None:
            return datetime.fromtimestamp(number, UTC)
        if isinstance(value, str):
            value = datetime.fromisoformat(_line(value.strip(), hint))
        if isinstance(value, datetime) and value.utcoffset() is not None:
            return value.astimezone(UTC)
    naive = isinstance(value, datetime) and value.utcoffset() is None
    raise Refusal("has no time zone" if naive else "is not a time", hint)


def _sts_endpoint(value: Any) -> str:
    """Accept the host or URL of STS, and return the host: it is always asked by https, but on loopback."""
    hint = "Write a host, as in sts.cn-hangzhou.aliyuncs.com."
    text = re.sub(r"(?<=[^:/])/+\Z", "", _line(value, hint).strip())
    url = text if "://" in text else f"https://{text}"
    if url.lower().startswith("http://") and credential_rules.url_problem(url).startswith("is http,"):
        url = f"https{url[4:]}"
    reason = credential_rules.url_problem(url)
    if not reason and (urlsplit(url).path or "?" in url or "#" in url or not url.isascii() or " " in url):
        reason = "is not a host"
    if reason:
        raise Refusal(reason, hint)
    return url.removeprefix("https://")


Endpoint = Annotated[str, BeforeValidator(_endpoint)]
Region = Annotated[str, BeforeValidator(_region)]
Encoding = Annotated[str, BeforeValidator(_encoding)]
STSToken = Annotated[SecretStr | None, BeforeValidator(_sts_token)]
Expiration = Annotated[datetime, BeforeValidator(_expiration)]
STSEndpoint = Annotated[str, BeforeValidator(_sts_endpoint)]

# --- files, and what has more than one form -----------------------------------------------------------------


def parse_json(text: str) -> Any:
    """Return what a text of JSON says; None if it is not valid JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _ca_bundle(value: Any) -> Path:
    """Accept the file of at least one certificate in PEM format."""
    hint = "Name a readable PEM file with the certificates of the authorities to trust."
    if not isinstance(value, (str, Path)) or not str(value).strip() or _CONTROL.search(str(value)):
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


_PROXY_HINT = "Write http://HOST:PORT, or a dictionary with the keys http and https."


def _proxies(value: Any) -> dict[str, str] | None:
    """Accept one proxy's URL for both schemes, or one for each."""
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    if value is None or (isinstance(value, str) and not value):
        return None
    if isinstance(value, str):
        value = parse_json(value) if value.lstrip().startswith("{") else {"http": value, "https": value}
    if not isinstance(value, Mapping):
        raise Refusal("is neither a URL nor a dictionary", _PROXY_HINT)
    return {_proxied(key): _proxy(url) for key, url in value.items()} or None


def _proxied(key: Any) -> str:
    name = key.lower().removesuffix("://") if isinstance(key, str) else ""
    if name not in {"http", "https", "all"}:
        raise Refusal("has a key that is not one of http, https, all", _PROXY_HINT)
    return name


def _proxy(url: Any) -> str:
    text = _line(url.get_secret_value() if isinstance(url, SecretStr) else url, _PROXY_HINT).strip()
    user, valid = "", False
    with suppress(ValueError):
        parts = urlsplit(text)
        user = parts.username or ""
        valid = parts.scheme.lower() in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    refuse_mask(user)
    if not valid or not text.isascii() or " " in text:
        raise Refusal("is not the URL of a proxy", _PROXY_HINT)
    return text


def _roles(value: Any) -> tuple[str, ...]:
    """Accept ARNs of roles: a list of them, or one text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not parts:
        raise Refusal("is neither a text nor a list of texts", _ROLE_HINT)
    arns = tuple(_line(part.strip() if isinstance(part, str) else part, _ROLE_HINT) for part in parts)
    if any(map(_role, arns)):
        raise Refusal("contains what is not a valid role ARN", _ROLE_HINT)
    return arns


def _policy(value: Any) -> str:
    """Accept a RAM policy: a dictionary, or its JSON on any number of lines."""
    hint = 'Write it as JSON, {"Version": "1", "Statement": [...]}.'
    document = parse_json(value) if isinstance(value, str) else value
    if not isinstance(document, Mapping):
        raise Refusal("is not a JSON object", hint)
    text = ""
    with suppress(TypeError, ValueError, RecursionError):
        text = value if isinstance(value, str) and not _CONTROL.search(value) else json.dumps(document)
    if not text:
        raise Refusal("cannot be written as JSON", hint)
    if len(text) > credential_rules.MAX_POLICY:
        raise Refusal(f"has {len(text)} characters", f"Use at most {credential_rules.MAX_POLICY}.")
    return text


CABundle = Annotated[Path, BeforeValidator(_ca_bundle)]
Proxies = Annotated[dict[str, str] | None, BeforeValidator(_proxies)]
Roles = Annotated[tuple[str, ...], BeforeValidator(_roles)]
Policy = Annotated[str, BeforeValidator(_policy)]
