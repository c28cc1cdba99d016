"""Where settings come from, and in which order: pydantic-settings' own sources, each recording where a value stands.

pydantic-settings maps names to fields, parses nested ones and hands the values out. Its sources would read whole files
of any size, wait for ever at a pipe and interpolate ``${NAME}``, so each gets its text from ``context`` instead.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import (
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
)

from ots_config.errors import SettingsProblem
from ots_config.settings import files, names
from ots_config.settings.context import Context, Line, NamedPath
from ots_config.settings.cross_checks import derive
from ots_config.settings.fields import Fields
from ots_config.settings.problems import UNKNOWN, Refusal
from ots_config.settings.provenance import DerivedRegion, FoundValue, Origin, nest

PRIVATE = (
    (EnvSettingsSource, "_load_env_vars"),
    (DotEnvSettingsSource, "_load_env_vars"),
    (TomlConfigSettingsSource, "_read_files"),
    (PydanticBaseSettingsSource, "_set_current_state"),
)
"""The private methods of pydantic-settings that this package overrides, or calls; a test looks for them."""


MAX_OVERRIDDEN = 16
"""How many lines for the same variable are kept, so that a file full of them takes a bounded time."""

ARGUMENT = Origin("argument", "argument")


class Source(PydanticBaseSettingsSource):
    """One place where settings are found."""

    def __init__(self, context: Context, *given: Any, **named: Any) -> None:
        self.context = context
        super().__init__(*given, **named)

    @abstractmethod
    def read(self) -> list[FoundValue]:
        """Return every value found, the strongest first where one setting has several."""

    def __call__(self) -> dict[str, Any]:
        """Return the strongest values, nested, as pydantic-settings expects them."""
        return nest({found.field: found.value for found in reversed(self.read())})

    def __repr__(self) -> str:  # pydantic-settings' own shows the values
        return f"{type(self).__name__}()"

    def _spread(self, values: Mapping[str, Any], origin: Callable[[str], Origin]) -> list[FoundValue]:
        """Return the leaves of what pydantic-settings made of the values."""
        found: list[FoundValue] = []
        for name, value in values.items():
            found += self.context.spread(self.context.layout.field(name), value, origin)
        return found


_TEXT = FieldInfo(annotation=str)


def _narrowed(context: Context, found: Iterable[str]) -> Any:
    """Return a stand-in for the settings class with the fields that something was found for.

    pydantic-settings looks at all fields, and deep into the type of each, though our own validators parse any text.
    """
    fields: dict[str, FieldInfo] = {}
    infos, ours, parts = context.cls.model_fields, Fields.model_fields, context.layout.parts
    for name in found:
        top = name.partition(".")[0]
        text = top in ours and ours[top].annotation is infos[top].annotation and top not in parts
        fields[top] = _TEXT if text else infos[top]
    return SimpleNamespace(model_fields=fields, model_config=context.cls.model_config)


class Arguments(Source, InitSettingsSource):
    """What the caller passed; None counts as not given."""

    def __init__(self, context: Context) -> None:
        infos, aliases = context.cls.model_fields, context.layout.aliases
        fields = {name: aliases.get(name, name) for name in context.arguments}
        known = {name: field for name, field in fields.items() if field in infos}
        given = {name: context.arguments[name] for name in known if context.arguments[name] is not None}
        if "endpoint" in given and isinstance(given.get("region"), DerivedRegion):
            del given["region"]
        super().__init__(context, _narrowed(context, known.values()), given)
        for name in fields.keys() - known.keys():
            self._unknown(name)

    def read(self) -> list[FoundValue]:
        """Return the arguments."""
        return self._spread(InitSettingsSource.__call__(self), lambda _: ARGUMENT)

    def _unknown(self, name: str) -> None:
        layout = self.context.layout
        top = [field for field in (*layout.leaves, *layout.parts) if "." not in field]
        near = names.nearest(name, top) or next(
            (field for field in layout.leaves if field.partition(".")[2] == name), ""
        )
        shown = names.visible(name) or near or "argument"
        hint = f"Did you mean {near}?" if near else names.one_of(top, "")
        self.context.problems.append(SettingsProblem(shown, UNKNOWN, "argument", hint))


class Variables(Source, EnvSettingsSource):
    """Variables from the environment, from env files, or from files of their own."""

    def __init__(self, context: Context) -> None:
        self._layers: list[dict[str, tuple[str, Line]]] = []
        super().__init__(context, context.cls)

    @abstractmethod
    def lines(self) -> Iterable[Line]:
        """Return the variables found, the strongest first."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        """Arrange the variables in layers, the strongest first, none with the same name twice."""
        layout = self.context.layout
        seen: Counter[str] = Counter()
        own: list[dict[str, tuple[str, Line]]] = []
        wholes: list[dict[str, tuple[str, Line]]] = []
        for line in self.lines():
            field, value = self._field(line.name), line.value.strip("\r\n")  # a here-document leaves a line break
            if not field:
                self.context.check_name(line.name, line.origin.text)
            elif value:  # an empty variable counts as unset
                name = layout.names[field] if layout.spell(line.name) in layout.variables else line.name
                key = name if self.case_sensitive else name.lower()
                # A nested setting's own variable is stronger than the variable of the whole.
                layers = wholes if field in layout.parts else own
                if seen[key] == len(layers) < MAX_OVERRIDDEN:
                    layers.append({})
                if seen[key] < len(layers):
                    layers[seen[key]][key] = (field, line._replace(value=value))
                seen[key] += 1
        self._layers = own + wholes
        return {}

    def _field(self, name: str) -> str:
        """Return the field that a variable sets, or the field of a subclass that it sets an entry of, or ``""``."""
        layout = self.context.layout
        name = layout.spell(name)
        if name in layout.variables:
            return layout.variables[name]
        added = self.context.cls.model_fields.keys() - Fields.model_fields.keys()
        return next((each for each in added if name.startswith(f"{layout.names[each]}{self.env_nested_delimiter}")), "")

    def read(self) -> list[FoundValue]:
        """Return what the variables give."""
        found: list[FoundValue] = []
        for layer in self._layers:
            origins = {field: line.origin for field, line in layer.values()}
            self.settings_cls = _narrowed(self.context, origins)
            self.env_vars = {key: line.value for key, (_, line) in layer.items()}
            # Not DotEnvSettingsSource's, which adds the lines that set nothing.
            found += self._spread(EnvSettingsSource.__call__(self), partial(_origin, origins))
        return found

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Return what a text of JSON says; other texts are left for the validators, which know more forms."""
        if value.lstrip()[:1] in {"{", "["}:
            with suppress(ValueError, RecursionError):
                return super().decode_complex_value(field_name, field, value)
        return value


def _origin(origins: Mapping[str, Origin], name: str) -> Origin:
    """Return where a field was found, or else the nearest one that it is a part of."""
    while name and name not in origins:
        name = name.rpartition(".")[0]
    return origins.get(name) or next(iter(origins.values()))


class Environment(Variables):
    """The variables ``OTS_*`` of this process."""

    def lines(self) -> Iterable[Line]:
        """Return the variables, those with a second name of a setting last."""
        return sorted(self.context.environment, key=lambda line: self._is_alias(self.context.layout.spell(line.name)))

    def _is_alias(self, name: str) -> bool:
        layout = self.context.layout
        return name in layout.variables and layout.names[layout.variables[name]] != name


class EnvFiles(Variables, DotEnvSettingsSource):
    """Env files; of several the last wins, and of several lines the last."""

    def lines(self) -> Iterable[Line]:
        """Return the lines of the files, the last first."""
        return reversed(self.context.env_lines)


class SecretsDirectory(Variables):
    """Directories with one file for each setting, named ``access_key_secret`` or ``OTS_ACCESS_KEY_SECRET``.

    As pydantic-settings' own source of nested secrets, it is one of variables: SecretsSettingsSource cannot read
    nested settings, and lists the directory again for each field.
    """

    def lines(self) -> Iterator[Line]:
        """Return the variables that the files stand for."""
        context = self.context
        for directory in reversed(context.paths("secrets_dir", context.where.secrets_dir)):
            context.files.append(directory.path)
            try:
                entries = files.entries(directory.path)
            except Refusal as refusal:
                if directory.required:
                    context.unreadable("secrets_dir", refusal, directory.origin)
                else:
                    context.warnings.append(f"{refusal.reason} ({directory.origin}); it is ignored")
                continue
            for name, path in sorted(entries.items(), key=lambda item: ("-" in item[0], item[0])):
                line = self._line(name, path, directory)
                if line is not None:
                    yield line

    def _line(self, name: str, path: Path, directory: NamedPath) -> Line | None:
        context = self.context
        origin = Origin(f"secrets file {path}", str(directory.path), directory.discovered)
        # The keys of a Kubernetes secret are often written with hyphens.
        prefix, cased = context.layout.prefix, context.layout.spell(name).replace("-", "_")
        variable = cased if cased.startswith(prefix) else prefix + cased
        field = self._field(variable)
        if not field:
            return Line(name, "", origin) if cased.startswith(prefix) else None
        context.files.append(path)
        try:
            text, exposure = files.read(path)
        except Refusal as refusal:
            context.unreadable(field, refusal, origin.text)
            return None
        leaf = context.layout.leaves.get(field)
        if exposure and leaf is not None and leaf.holds_secret(text.strip()):
            context.warnings.append(exposure)
        return Line(variable, text, origin)


class Profile(Source, TomlConfigSettingsSource):
    """One profile of ots.toml, the one named or ``default``."""

    def __init__(self, context: Context) -> None:
        self._place, self._exposure = Origin(""), ""
        self._lines: dict[str, int] = {}
        self._values = self._selected(context)
        super().__init__(context, _narrowed(context, map(context.layout.field, self._values)), toml_file=None)

    def _read_files(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Return the profile instead of whole files."""
        return self._values

    def read(self) -> list[FoundValue]:
        """Return what the profile gives."""
        found = self._spread(TomlConfigSettingsSource.__call__(self), self._origin)
        leaves = self.context.layout.leaves
        if self._exposure and any(leaves[each.field].holds_secret(each.value) for each in found):
            self.context.warnings.append(self._exposure)
        return found

    def _origin(self, name: str) -> Origin:
        line = self._lines.get(name)
        return self._place._replace(text=f"{self._place.text} line {line}") if line else self._place

    def _selected(self, context: Context) -> dict[str, Any]:
        """Return the entries of the profile that are settings."""
        wanted = context.profile
        name, origin = wanted or ("default", "")
        named = context.paths("config_file")
        places = named or [
            NamedPath(path, str(path), required=False, discovered=found) for path, found in files.profile_places()
        ]
        context.files.extend(place.path for place in places)
        place = next((each for each in places if each.required or files.exists(each.path)), None)
        if place is None:
            if wanted:
                reason = (
                    f"needs an ots.toml, and there is none; looked for {', '.join(str(each.path) for each in places)}"
                )
                context.unreadable("profile", Refusal(reason, "Write one, or do not set profile."), origin)
            return {}
        path = place.path
        try:
            text, self._exposure = files.read(path)
            table = files.profiles(path, text)
        except Refusal as refusal:
            context.unreadable("config_file", refusal, place.origin)
            return {}
        if name not in table:
            if wanted:
                reason = f"does not exist in {names.visible_file(path)}"
                context.unreadable("profile", Refusal(reason, names.one_of(table, name)), origin)
            return {}
        self._place = Origin(f"profile [profiles.{name}] in {path}", str(path), place.discovered)
        self._lines = files.key_lines(text, name)
        known = {key for key in table[name] if context.layout.field(key) in context.cls.model_fields}
        prefix = context.layout.prefix
        for key in table[name].keys() - known:
            context.check_name(
                prefix + key.upper(), self._origin(key).text, lambda each: each.removeprefix(prefix).lower()
            )
        return {key: value for key, value in table[name].items() if key in known and value != ""}


class Derived(Source, InitSettingsSource):
    """What the values found so far imply: endpoint, instance, region and network follow from each other."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, _narrowed(context, ()), {})

    def read(self) -> list[FoundValue]:
        """Return what follows from the other sources' values, and report where they contradict each other."""
        return derive(self.context)


PRECEDENCE: tuple[type[Source], ...] = (
    Arguments,
    Environment,
    EnvFiles,
    SecretsDirectory,
    Profile,
    Derived,
)
"""The sources, the highest first; after them come the defaults."""


def explicit_sources(context: Context) -> tuple[PydanticBaseSettingsSource, ...]:
    """Return the sources of settings that read nothing."""
    return Arguments(context), Derived(context)


def all_sources(context: Context) -> tuple[PydanticBaseSettingsSource, ...]:
    """Return every source, the highest first; a subclass may add its own above the profile."""
    init, env, dotenv, secrets, *others = (kind(context) for kind in PRECEDENCE)
    return *context.cls.settings_customise_sources(context.cls, init, env, dotenv, secrets), *others
