"""What the settings of credentials accept: keys, tokens, roles, and the addresses that are asked for them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from ots_config import credential_rules
from ots_config.settings.problems import Refusal
from ots_config.settings.validators import (
    CONTROL,
    WORD,
    matching,
    one_line,
    parse_json,
    refuse_mask,
    secret_text,
    to_number,
)

_KEY_ID = re.compile(r"[a-zA-Z0-9+./_-]+")


def _key_id(value: Any) -> Any:
    """Refuse a masked id, as ``repr`` shows it; otherwise return the value."""
    if isinstance(value, str) and "****" in value:
        refuse_mask("*")
    return value


AccessKeyID = Annotated[
    str, matching(_KEY_ID, WORD, "Copy the AccessKey ID from the console."), BeforeValidator(_key_id)
]


def access_key_secret(value: Any) -> Any:
    """Accept an AccessKey secret; it is not sent in a header, but a line break in it is always a mistake."""
    hint = "Copy the AccessKey secret again."
    text = one_line(secret_text(value, hint), hint)
    if text != text.strip():
        raise Refusal("begins or ends with white space", hint)
    return value


def sts_token(value: Any) -> Any:
    """Accept an STS token; an empty one means none."""
    hint = "Fetch the token again, and pass all of it."
    text = secret_text(value, hint)
    refuse_mask(text)
    if not (text.isascii() and (text.isprintable() and " " not in text)):
        raise Refusal("contains characters that an HTTP header cannot contain", hint)
    return value if text else None


def expiration(value: Any) -> datetime | None:
    """Accept a time with its zone, or the seconds since 1970, and return it in UTC."""
    hint = "Write it with its zone, as in 2026-01-31T08:00:00Z, or as seconds since 1970."
    if value is None:
        return None
    number = to_number(value.strip() if isinstance(value, str) else value)
    if number is not None:
        with suppress(ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(number, UTC)
        raise Refusal("is not a time", hint)
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(one_line(value.strip(), hint))
    if not isinstance(value, datetime):
        raise Refusal("is not a time", hint)
    if value.utcoffset() is None:
        raise Refusal("has no time zone", hint)
    with suppress(ValueError, OverflowError):
        return value.astimezone(UTC)
    raise Refusal("is not a time", hint)


# --- roles, and where credentials are asked for -------------------------------------------------------------

_ROLE_HINT = "Write acs:ram::ACCOUNT:role/NAME."
_ROLE_REASON = "is not a valid role ARN"


def roles(value: Any) -> tuple[str, ...]:
    """Accept ARNs of roles: a list of them, or one text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not parts:
        raise Refusal("is neither a text nor a list of texts", _ROLE_HINT)
    arns = tuple(one_line(part.strip() if isinstance(part, str) else part, _ROLE_HINT) for part in parts)
    if not all(credential_rules.ROLE_ARN.fullmatch(arn) for arn in arns):
        raise Refusal("contains what is not a valid role ARN", _ROLE_HINT)
    return arns


def metadata_url(value: Any) -> str:
    """Accept the URL of the metadata service."""
    hint = "Write http://100.100.100.200."
    text = one_line(value, hint)
    reason = credential_rules.url_problem(text, http="private")
    if reason:
        raise Refusal(reason, hint)
    return text


def credentials_uri(value: Any) -> Any:
    """Accept a URL that returns keys; it may contain a secret."""
    hint = "Give a URL that begins with https://."
    reason = credential_rules.url_problem(one_line(secret_text(value, hint), hint), http="private")
    if reason:
        raise Refusal(reason, hint)
    return value


def sts_endpoint(value: Any) -> str:
    """Accept the host or URL of STS, and return the host: it is always asked by https, but on loopback."""
    hint = "Write a host, as in sts.cn-hangzhou.aliyuncs.com."
    text = re.sub(r"(?<=[^:/])/+\Z", "", one_line(value, hint).strip())
    url = text if "://" in text else f"https://{text}"
    if url.lower().startswith("http://") and credential_rules.url_problem(url).startswith("is http,"):
        url = f"https{url[4:]}"
    reason = credential_rules.url_problem(url)
    if not reason and (urlsplit(url).path or "?" in url or "#" in url or not url.isascii() or " " in url):
        reason = "is not a host"
    if reason:
        raise Refusal(reason, hint)
    return url.removeprefix("https://")


RoleARN = Annotated[str, matching(credential_rules.ROLE_ARN, _ROLE_REASON, _ROLE_HINT)]
ProviderARN = Annotated[
    str,
    matching(
        credential_rules.PROVIDER_ARN,
        "is not the ARN of an OIDC provider",
        "Write acs:ram::ACCOUNT:oidc-provider/NAME.",
    ),
]
SessionName = Annotated[
    str,
    matching(
        credential_rules.SESSION_NAME, "is not a session's name", "Use 2 to 64 letters, digits, dots, @, _ and -."
    ),
]
ExternalID = Annotated[
    str,
    matching(
        credential_rules.EXTERNAL_ID, "is not an external id", "Use 2 to 1224 letters, digits and + = , . @ : / - _."
    ),
]


def policy(value: Any) -> str:
    """Accept a RAM policy: a dictionary, or its JSON on any number of lines."""
    hint = 'Write it as JSON, {"Version": "1", "Statement": [...]}.'
    document = parse_json(value) if isinstance(value, str) else value
    if not isinstance(document, Mapping):
        raise Refusal("is not a JSON object", hint)
    text = ""
    with suppress(TypeError, ValueError, RecursionError):
        text = value if isinstance(value, str) and not CONTROL.search(value) else json.dumps(document)
    if not text:
        raise Refusal("cannot be written as JSON", hint)
    if len(text) > credential_rules.MAX_POLICY:
        raise Refusal(f"has {len(text)} characters", f"Use at most {credential_rules.MAX_POLICY}.")
    return text
