"""Where each value came from, what it overrode, and what may be shown of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, BeforeValidator, SecretStr

from ots_config.errors import mask
from ots_config.settings.names import ALIASES, variable
from ots_config.settings.problems import Refusal

MASK = "********"
DEFAULT = "default"


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """One value that one source gave.

    Attributes:
        field: The setting, nested with dots.
        value: The value as found; a secret is wrapped already.
        origin: Where it was found.
        rank: The place of its source in the precedence, 0 is the highest.
    """

    field: str
    value: Any = dataclasses.field(repr=False)
    origin: str = DEFAULT
    rank: int = 0


class Explanation(NamedTuple):
    """One setting, explained.

    Attributes:
        field: The setting's name, nested with dots.
        value: Its value, masked if it is a secret.
        origin: Where the value came from.
        overrode: Origin and masked value of each value that lost against it, the strongest first.
    """

    field: str
    value: str
    origin: str
    overrode: tuple[tuple[str, str], ...] = ()


class Leaf(NamedTuple):
    """One setting that is not made of others.

    Attributes:
        name: Its name, nested with dots.
        check: What accepts or refuses a value; None if pydantic alone does, in a subclass.
        secret: Whether its values are secrets.
        default: Its default.
        required: Whether it has none.
        meaning: The sentence that describes it.
    """

    name: str
    check: Callable[[Any], Any] | None
    secret: bool
    default: Any
    required: bool
    meaning: str

    def holds_secret(self, value: Any) -> bool:
        """Whether a value of this setting is one that nobody else should read."""
        return bool(value) if self.secret else self.name == "proxies" and "@" in str(value)


class Layout(NamedTuple):
    """The settings of a class: its leaves, its nested parts, and the environment variables of both.

    Attributes:
        leaves: Every leaf by its name, in the order of the fields.
        parts: The model of each field that is made of others.
        variables: The field of each environment variable, leaves and parts.
    """

    leaves: dict[str, Leaf]
    parts: dict[str, type[BaseModel]]
    variables: dict[str, str]


def _part(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _leaves(model: type[BaseModel], prefix: str = "") -> Iterator[Leaf]:
    for name, info in model.model_fields.items():
        part = _part(info.annotation)
        if part is not None:
            yield from _leaves(part, f"{prefix}{name}.")
            continue
        check: Any = next((each.func for each in info.metadata if isinstance(each, BeforeValidator)), None)
        secret = SecretStr in (info.annotation, *get_args(info.annotation))
        required = info.is_required()
        default = None if required else info.get_default(call_default_factory=True, validated_data={})
        yield Leaf(prefix + name, check, secret, default, required, info.description or "")


@cache
def layout(model: type[BaseModel]) -> Layout:
    """Return the layout of a settings class."""
    leaves = {leaf.name: leaf for leaf in _leaves(model)}
    parts = {name: part for name, info in model.model_fields.items() if (part := _part(info.annotation)) is not None}
    variables = {variable(name): name for name in (*leaves, *parts)} | ALIASES
    return Layout(leaves, parts, variables)


def mask_url(url: str) -> str:
    """Return a URL without the user name and password in it."""
    before, at, host = url.rpartition("@")
    return f"{before.partition('://')[0]}://{MASK}@{host}" if at else url


def mask_proxies(proxies: Mapping[str, str]) -> dict[str, str]:
    """Return proxies without the user names and passwords in them."""
    return {scheme: mask_url(url) for scheme, url in proxies.items()}


def show(name: str, value: Any) -> str:
    """Return what may be shown of a setting's accepted value."""
    match value:
        case None:
            text = "none"
        case SecretStr():
            text = MASK
        case bool():
            text = str(value).lower()
        case dict():
            text = ", ".join(f"{scheme}: {url}" for scheme, url in mask_proxies(value).items())
        case tuple():
            text = ", ".join(show(name, part) for part in value)
        case float() if value.is_integer():
            text = str(int(value))
        case _:
            text = mask(value) if name == "access_key_id" else str(value)
    return text


def show_loser(leaf: Leaf, value: Any) -> str:
    """Return what may be shown of a value that was never used: nothing, if it would have been refused."""
    if leaf.secret:
        return MASK
    if leaf.check is None:
        return "not shown"
    try:
        return show(leaf.name, leaf.check(value))
    except Refusal:
        return "not valid"


def name_of(path: Path | str) -> str:
    """Return the name of a file that may be shown: a misplaced secret has neither dots nor slashes."""
    text = str(path)
    return text if len(text) <= 20 or "." in text or "/" in text or "\\" in text else "the file"
