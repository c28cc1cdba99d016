"""Where settings come from, and in which order: pydantic-settings' own sources, each recording where a value stands.

pydantic-settings maps names to fields, parses nested ones and hands the values out. Its sources would read whole files
of any size, wait for ever at a pipe and interpolate ``${NAME}``, so each gets its text from ``files`` instead.
"""

from __future__ import annotations

from typing import Any

from pydantic_settings import (
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
)

from ots_config.errors import SettingsProblem
from ots_config.settings import files, names
from ots_config.settings.context import Context, NamedPath, Source, narrowed
from ots_config.settings.cross_checks import derive
from ots_config.settings.problems import UNKNOWN, Refusal
from ots_config.settings.provenance import DerivedRegion, FoundValue, Origin
from ots_config.settings.variables import EnvFiles, Environment, SecretsDirectory, bare

PRIVATE = (
    (EnvSettingsSource, "_load_env_vars"),
    (DotEnvSettingsSource, "_load_env_vars"),
    (TomlConfigSettingsSource, "_read_files"),
    (PydanticBaseSettingsSource, "_set_current_state"),
)
"""The private methods of pydantic-settings that this package overrides, or calls; a test looks for them."""

ARGUMENT = Origin("argument", "argument")


class Arguments(Source, InitSettingsSource):
    """What the caller passed; None counts as not given."""

    def __init__(self, context: Context) -> None:
        known, given = [], {}
        for name, value in context.arguments.items():
            field = context.layout.field(name)
            if field not in context.layout.fields:
                self._unknown(context, name)
            elif value is not None:
                known.append(field)
                given[name] = value
        if "endpoint" in given and isinstance(given.get("region"), DerivedRegion):
            del given["region"]
        super().__init__(context, narrowed(context, known), given)

    def read(self) -> list[FoundValue]:
        """Return the arguments."""
        return self._spread(InitSettingsSource.__call__(self), lambda _: ARGUMENT)

    @staticmethod
    def _unknown(context: Context, name: str) -> None:
        layout = context.layout
        known = names.FOREIGN.get(name)
        nested = next((field for field in layout.leaves if field.partition(".")[2] == name), "")
        near = known or names.nearest(name, layout.fields) or nested
        shown = names.visible(name) or near or "argument"
        hint = f"Did you mean {near}?" if near else names.one_of(layout.fields, "")
        context.attempted.add(near)
        context.problems.append(SettingsProblem(shown, UNKNOWN, "argument", hint))


class Profile(Source, TomlConfigSettingsSource):
    """One profile of ots.toml, the one named or ``default``."""

    def __init__(self, context: Context) -> None:
        self._place, self._exposure = Origin(""), ""
        self._lines: dict[str, int] = {}
        self._values = self._selected(context)
        super().__init__(context, narrowed(context, map(context.layout.field, self._values)), toml_file=None)

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
        places = context.paths("config_file") or [
            NamedPath(path, path, required=False, discovered=found) for path, found in files.profile_places()
        ]
        context.files.extend(place.path for place in places)
        place = next((each for each in places if each.required or files.exists(each.path)), None)
        if place is None:
            if wanted:
                reason = f"needs an ots.toml, and there is none; looked for {', '.join(each.path for each in places)}"
                context.unreadable("profile", Refusal(reason, "Write one, or do not set profile."), origin)
            return {}
        try:
            text, self._exposure = files.read(place.path)
            document = files.document(place.path, text)
        except Refusal as refusal:
            context.unreadable("config_file", refusal, place.origin)
            return {}
        table = document.pop("profiles")
        self._check_outside(context, document, place.path, text)
        if name not in table:
            listed = names.one_of(table, name)
            if wanted:
                reason = f"does not exist in {names.visible_file(place.path)}"
                hint = f"Write [profiles.{name}], not [{name}]." if isinstance(document.get(name), dict) else listed
                context.unreadable("profile", Refusal(reason, hint), origin)
            elif table:
                choice = f"Choose a profile of {place.path} with profile ({context.layout.variable('profile')})"
                context.causes.setdefault("profile", f"{choice}: {', '.join(table)}.")
            return {}
        self._place = Origin(f"profile [profiles.{name}] in {place.path}", place.path, place.discovered)
        self._lines = files.key_lines(text, "profiles", name)
        known = {key for key in table[name] if context.layout.field(key) in context.layout.fields}
        for key in table[name].keys() - known:
            context.check_name(context.layout.prefix + key.upper(), self._origin(key).text, bare(context.layout))
        return {key: value for key, value in table[name].items() if key in known and value != ""}

    @staticmethod
    def _check_outside(context: Context, document: dict[str, Any], path: str, text: str) -> None:
        """Warn of settings outside of every profile: ``[prod]`` instead of ``[profiles.prod]``, or none at all."""
        fields = context.layout.fields
        lines: dict[str, int] | None = None
        for name, value in document.items():
            if name in fields:
                hint = f"Write {name} below [profiles.default]."
            elif isinstance(value, dict) and any(key in fields for key in value):
                hint = f"Write [profiles.{name}], not [{name}]."
            else:
                continue
            lines = files.key_lines(text) if lines is None else lines
            place = f"{path} line {lines[name]}" if name in lines else path
            context.warnings.append(f"{place}: {names.visible(name) or 'a table'} sets nothing. {hint}")
            context.causes.setdefault("profile", f"{hint} It stands outside of every profile ({place}).")


class Derived(Source, InitSettingsSource):
    """What the values found so far imply: endpoint, instance, region and network follow from each other."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, narrowed(context, ()), {})

    def read(self) -> list[FoundValue]:
        """Return what follows from the other sources' values, and report where they contradict each other."""
        return derive(self.context)


PRECEDENCE: tuple[type[Source], ...] = (Arguments, Environment, EnvFiles, SecretsDirectory, Profile, Derived)
"""The sources, the highest first; after them come the defaults."""


def explicit_sources(context: Context) -> tuple[PydanticBaseSettingsSource, ...]:
    """Return the sources of settings that read nothing."""
    return Arguments(context), Derived(context)


def all_sources(context: Context) -> tuple[PydanticBaseSettingsSource, ...]:
    """Return every source, the highest first; a subclass may add its own above the profile."""
    init, env, dotenv, secrets, *others = [kind(context) for kind in PRECEDENCE]
    return *context.cls.settings_customise_sources(context.cls, init, env, dotenv, secrets), *others
