"""Where each value came from, what it overrode, and what may be shown of it."""

from __future__ import annotations

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


class FoundValue(NamedTuple):
    """One value that one source gave; a secret is wrapped already.

    Attributes:
        field: The setting, nested with dots.
        value: The value as found.
        origin: Where it was found.
    """

    field: str
    value: Any
    origin: Origin = NOT_FOUND

    def __repr__(self) -> str:
        return f"<{self.field} from {self.origin.text}>"


class Explanation(NamedTuple):
    """One setting, explained.

        >>> from ots_config import OTSSettings
        >>> settings = OTSSettings.explicit(endpoint="https://demo.cn-hangzhou.ots.aliyuncs.com")
        >>> settings.explain()[1]
        Explanation(field='instance_name', value='demo', origin='derived from endpoint', overrode=())

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
        kinds = (info.annotation, *get_args(info.annotation))
        self.secret = any(SecretStr in (kind, *get_args(kind)[:1]) for kind in kinds)
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


class Layout:
    """The settings of a class, and their names in the environment, which its ``model_config`` decides.

    Attributes:
        fields: pydantic's description of each field.
        leaves: Every leaf by its name, in the order of the fields.
        parts: The model of each field that is made of others.
        names: The environment variable of each leaf and part: ``OTS_RETRY__DEADLINE`` of ``retry.deadline``.
        variables: The field of each environment variable, second names included.
        controls: What each variable that the sources read themselves names.
        aliases: The field of each validation alias, which only a subclass's own fields have.
        prefix: What the variables begin with.
        case_sensitive: Whether only the usual spelling of a variable counts.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        config: Mapping[str, Any] = model.model_config
        self._prefix, self._delimiter = config.get("env_prefix", ""), config.get("env_nested_delimiter") or "__"
        self.case_sensitive = bool(config.get("case_sensitive"))
        self.prefix = self.spell(self._prefix)
        self.fields: Mapping[str, FieldInfo] = model.model_fields
        self.parts: dict[str, type[BaseModel]] = {}
        self.leaves = {leaf.name: leaf for leaf in self._leaves(model, "")}
        self.names = {name: self.variable(name) for name in (*self.leaves, *self.parts)}
        self.variables = {name: field for field, name in self.names.items()}
        self.variables |= {self.variable(alias): name for alias, name in ALIASES.items() if name in self.leaves}
        self.controls = {self.variable(name): name for name in CONTROLS}
        self.aliases: dict[str, str] = {}
        for name, info in self.fields.items():
            alias = info.validation_alias
            for each in reversed(alias.choices if isinstance(alias, AliasChoices) else [alias]):
                if isinstance(each, str):
                    self.aliases[each] = name
                    self.names[name] = self.spell(each)
                    self.variables[self.names[name]] = name

    def _leaves(self, model: type[BaseModel], prefix: str) -> Iterator[Leaf]:
        for name, info in model.model_fields.items():
            if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                self.parts[prefix + name] = info.annotation
                yield from self._leaves(info.annotation, f"{prefix}{name}.")
            else:
                yield Leaf(prefix + name, info)

    def variable(self, field: str) -> str:
        """Return the environment variable of a field."""
        return self.spell(self._prefix + field.replace(".", self._delimiter))

    def spell(self, variable: str) -> str:
        """Return a variable's name in its usual spelling: upper case, unless the class says that case matters."""
        return variable if self.case_sensitive else variable.upper()

    def reads(self, variable: str) -> bool:
        """Whether a variable may set something, or seems to be meant to."""
        spelt = self.spell(variable)
        known = spelt in self.variables or spelt in self.controls
        return known or bool(self.prefix and variable.upper().startswith(self.prefix.upper()))

    def field(self, name: str) -> str:
        """Return the field that has this name or this validation alias."""
        return self.aliases.get(name, name)

    def wrap(self, name: str, value: Any) -> Any:
        """Return an argument that is not shown if it is a secret."""
        leaf = self.leaves.get(self.field(name))
        return value if leaf is None else leaf.wrap(value)


layout = cache(Layout)
"""Return the layout of a settings class."""


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
