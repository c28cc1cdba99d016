"""Where each value came from, what it overrode, and what may be shown of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Annotated, Any, NamedTuple, get_args

from pydantic import AliasChoices, BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ots_config.errors import mask
from ots_config.settings.names import ALIASES, CONTROLS
from ots_config.settings.problems import Refusal, explain

MASK = "********"
DEFAULT = "default"


class Origin(NamedTuple):
    """Where a value was found.

    Attributes:
        text: The place, as errors name it: ``prod.env line 3``.
        source: What a key, its secret and its token must have in common: one file, one directory, the environment.
        discovered: Whether it is a file that nobody named, and that was read because it is in the working directory.
    """

    text: str
    source: str = ""
    discovered: bool = False


NOT_FOUND = Origin(DEFAULT)


@dataclasses.dataclass(frozen=True, slots=True)
class FoundValue:
    """One value that one source gave.

    Attributes:
        field: The setting, nested with dots.
        value: The value as found; a secret is wrapped already.
        origin: Where it was found.
    """

    field: str
    value: Any = dataclasses.field(repr=False)
    origin: Origin = NOT_FOUND


class Explanation(NamedTuple):
    """One setting, explained.

    Attributes:
        field: The setting's name, nested with dots.
        value: Its value, masked if it is a secret.
        origin: Where the value came from.
        overrode: Origin and masked value of each value that it overrode, the strongest first.
    """

    field: str
    value: str
    origin: str
    overrode: tuple[tuple[str, str], ...] = ()


class Leaf:
    """One setting that is not made of others.

    Attributes:
        name: Its name, nested with dots.
        secret: Whether its values are secrets.
        meaning: The sentence that describes it.
    """

    def __init__(self, name: str, info: FieldInfo) -> None:
        self.name = name
        self.secret = SecretStr in (info.annotation, *get_args(info.annotation))
        self.meaning = info.description or ""
        self._info = info

    @property
    def default(self) -> Any:
        """The default."""
        return self._info.get_default(call_default_factory=True)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        kind: Any = self._info.annotation
        for each in self._info.metadata:
            kind = Annotated[kind, each]
        return TypeAdapter(kind)

    def accept(self, value: Any) -> Any:
        """Return a value as the setting takes it.

        Raises:
            Refusal: If it cannot be used.
        """
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            problem = explain(error)[0]
        raise Refusal(problem.reason, problem.hint)

    def holds_secret(self, value: Any) -> bool:
        """Whether a value of this setting is one that nobody else should read."""
        if self.secret:
            return bool(value)
        values = value.values() if isinstance(value, Mapping) else [value]
        texts = [str(each) for each in values if isinstance(each, (str, SecretStr))]
        return self.name == "proxies" and any("@" in text for text in texts)

    def wrap(self, value: Any) -> Any:
        """Return a value that is not shown if it is a secret."""
        if self.name == "proxies":
            if isinstance(value, Mapping):
                return {scheme: ProxyURL(url) if isinstance(url, str) else url for scheme, url in value.items()}
            return ProxyURL(value) if isinstance(value, str) else value
        return SecretStr(value) if self.secret and isinstance(value, str) else value


class Layout(NamedTuple):
    """The settings of a class, and their names in the environment.

    Attributes:
        leaves: Every leaf by its name, in the order of the fields.
        parts: The model of each field that is made of others.
        names: The environment variable of each leaf and part: ``OTS_RETRY__DEADLINE`` of ``retry.deadline``.
        variables: The field of each environment variable, second names included.
        controls: The variables that the sources read themselves, by what they name.
        aliases: The field of each validation alias, which only a subclass's own fields have.
        prefix: What the variables begin with.
        case_sensitive: Whether only the usual spelling of a variable counts.
    """

    leaves: dict[str, Leaf]
    parts: dict[str, type[BaseModel]]
    names: dict[str, str]
    variables: dict[str, str]
    controls: dict[str, str]
    aliases: dict[str, str]
    prefix: str
    case_sensitive: bool

    def spell(self, variable: str) -> str:
        """Return a variable's name in its usual spelling: upper case, unless the class says that case matters."""
        return variable if self.case_sensitive else variable.upper()

    def reads(self, variable: str) -> bool:
        """Whether a variable of the environment may set something, or seems to be meant to."""
        spelt, prefix = self.spell(variable), self.prefix.upper()
        known = spelt in self.variables or spelt in self.controls.values()
        return known or bool(prefix and variable.upper().startswith(prefix))

    def field(self, name: str) -> str:
        """Return the field that has this name or this validation alias."""
        return self.aliases.get(name, name)

    def wrap(self, name: str, value: Any) -> Any:
        """Return an argument that is not shown if it is a secret."""
        leaf = self.leaves.get(self.field(name))
        return value if leaf is None else leaf.wrap(value)


def _part(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _leaves(model: type[BaseModel], parts: dict[str, type[BaseModel]], prefix: str = "") -> Iterator[Leaf]:
    for name, info in model.model_fields.items():
        part = _part(info.annotation)
        if part is None:
            yield Leaf(prefix + name, info)
        else:
            parts[prefix + name] = part
            yield from _leaves(part, parts, f"{prefix}{name}.")


@cache
def layout(model: type[BaseModel]) -> Layout:
    """Return the layout of a settings class; its ``model_config`` sets prefix, delimiter and case of the names."""
    config: Mapping[str, Any] = model.model_config
    prefix, delimiter = config.get("env_prefix", ""), config.get("env_nested_delimiter") or "__"

    def variable(field: str) -> str:
        name: str = prefix + field.replace(".", delimiter)
        return name if config.get("case_sensitive") else name.upper()

    parts: dict[str, type[BaseModel]] = {}
    leaves = {leaf.name: leaf for leaf in _leaves(model, parts)}
    names = {name: variable(name) for name in (*leaves, *parts)}
    variables = {name: field for field, name in names.items()}
    variables |= {variable(alias): name for alias, name in ALIASES.items() if name in leaves}
    aliases: dict[str, str] = {}
    for name, info in model.model_fields.items():
        alias = info.validation_alias
        for each in reversed(alias.choices if isinstance(alias, AliasChoices) else [alias]):
            if isinstance(each, str):
                aliases[each] = name
                names[name] = each if config.get("case_sensitive") else each.upper()
                variables[names[name]] = name
    controls = {name: variable(name) for name in CONTROLS}
    return Layout(leaves, parts, names, variables, controls, aliases, variable(""), bool(config.get("case_sensitive")))


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat settings as nested ones: ``retry.deadline`` becomes ``{"retry": {"deadline": ...}}``."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *path, leaf = name.split(".")
        inner = nested
        for step in path:
            inner = inner.setdefault(step, {})
        inner[leaf] = value
    return nested


# --- what may be shown --------------------------------------------------------------------------------------


def mask_url(url: str) -> str:
    """Return a URL without the user name and password in it."""
    before, at, host = url.rpartition("@")
    return f"{before.partition('://')[0]}://{MASK}@{host}" if at else url


class ProxyText(str):
    """The URL of a proxy as clients use it; ``vars()`` and ``dict()`` of settings do not show its password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(mask_url(str(self)))


class ProxyURL(SecretStr):
    """The URL of a proxy in ``model_dump()``, which shows all but the user name and password."""

    def _display(self) -> str:
        return mask_url(self.get_secret_value())


class DerivedRegion(str):
    """A region in ``model_dump()`` that followed from the endpoint: given back with an endpoint, it counts for nothing.

    Otherwise it would count as given, which decides the version of signatures.
    """

    __slots__ = ()


def show(name: str, value: Any) -> str:
    """Return what may be shown of a setting's accepted value."""
    match value:
        case None:
            text = "none"
        case SecretStr():
            text = MASK
        case bool():
            text = str(value).lower()
        case dict() if name == "proxies":
            text = ", ".join(f"{scheme}: {mask_url(url)}" for scheme, url in value.items())
        case tuple():
            text = ", ".join(show(name, part) for part in value)
        case float() if value.is_integer():
            text = str(int(value))
        case _:
            text = mask(value) if name == "access_key_id" else str(value)
    return text


def show_overridden(leaf: Leaf, value: Any) -> str:
    """Return what may be shown of a value that was not used: nothing, if it would have been refused."""
    if leaf.secret:
        return MASK
    try:
        return show(leaf.name, leaf.accept(value))
    except Refusal:
        return "not valid"
