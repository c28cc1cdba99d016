"""Settings in variables: those of the environment, the lines of env files, and the files of secrets directories."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from ots_config.errors import SettingsProblem
from ots_config.settings import files, names
from ots_config.settings.context import OURS, TEXT, Context, NamedPath, Source, narrowed
from ots_config.settings.problems import Refusal
from ots_config.settings.provenance import FoundValue, Layout, Origin

MAX_OVERRIDDEN = 16
"""How many lines for the same variable are kept, so that a file full of them takes a bounded time."""


class Line(NamedTuple):
    """A variable, its value, and where it stands."""

    name: str
    value: str
    origin: Origin


class Variables(Source, EnvSettingsSource):
    """Variables from the environment, from env files, or from files of their own."""

    def __init__(self, context: Context) -> None:
        self._lines: dict[str, list[Line]] = {}
        self._fields: dict[str, str] = {}
        super().__init__(context, context.cls)

    @abstractmethod
    def lines(self) -> Iterable[Line]:
        """Return the variables found, the strongest first."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        """Keep the lines of each variable, the strongest first, and what the variables of the sources name."""
        layout, context = self.context.layout, self.context
        for line in self.lines():
            spelt = layout.spell(line.name)
            field = layout.controls.get(spelt) or self._field(spelt)
            value = line.value.strip("\r\n")  # a here-document leaves a line break
            if not field:
                context.check_name(line.name, line.origin.text)
            elif value.strip() if spelt in layout.controls else value:  # an empty variable counts as unset
                if spelt in layout.controls:
                    context.controls.setdefault(field, (value.strip(), line.origin))
                self._keep(spelt, field, line if value == line.value else line._replace(value=value))
        return {}

    def _keep(self, spelt: str, field: str, line: Line) -> None:
        layout = self.context.layout
        name = layout.names[field] if spelt in layout.variables else line.name
        key = name if layout.case_sensitive else name.lower()
        self._fields[key] = field
        kept = self._lines.setdefault(key, [])
        if kept and kept[0].name == spelt != line.name and kept[0].origin.source == line.origin.source:
            shown = names.visible(line.name) or "the same name in another case"
            place = "" if line.origin.text.endswith(shown) else f" ({line.origin.text})"
            self.context.warnings.append(f"{shown}{place} is not used: {spelt} is set too ({kept[0].origin.text})")
        elif len(kept) < MAX_OVERRIDDEN:
            kept.append(line)

    def _field(self, spelt: str) -> str:
        """Return the field that a variable sets, or the field of a subclass that it sets an entry of, or ``""``."""
        layout = self.context.layout
        if spelt in layout.variables:
            return layout.variables[spelt]
        added = [] if len(layout.fields) == len(OURS) else layout.fields.keys() - OURS.keys()
        return next((each for each in added if spelt.startswith(layout.variable(f"{each}."))), "")

    def read(self) -> list[FoundValue]:
        """Return what the variables give: each one's strongest line, then the lines that it overrides."""
        parts, found = self.context.layout.parts, []
        values: dict[str, str] = {}
        origins: dict[str, Origin] = {}
        weaker: list[tuple[str, Line]] = []
        for key, (line, *others) in self._lines.items():
            field = self._fields[key]
            if field in names.CONTROLS:
                continue
            # A nested setting's own variable is stronger than the variable of the whole.
            if field in parts:
                others.insert(0, line)
            else:
                values[key] = line.value
                origins.setdefault(field, line.origin)
            weaker += [(field, other) for other in others]
        if values:
            self.settings_cls, self.env_vars = narrowed(self.context, origins), values
            # Not DotEnvSettingsSource's, which adds the lines that set nothing.
            found += self._spread(EnvSettingsSource.__call__(self), partial(_origin, origins))
        for field, line in sorted(weaker, key=lambda each: each[0] in parts):
            found += self.context.spread(field, line.value, partial(_same, line.origin))
        return found

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the text of a setting of ours, whose validators parse it; pydantic-settings looks at the others."""
        if field is not TEXT:
            return super().get_field_value(field, field_name)
        name = self.context.layout.names[field_name]
        return self.env_vars.get(name if self.case_sensitive else name.lower()), field_name, False

    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:
        """Return the text of a setting of ours as it is."""
        return value if field is TEXT else super().prepare_field_value(field_name, field, value, value_is_complex)

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


def _same(origin: Origin, _: str) -> Origin:
    return origin


class Environment(Variables):
    """The variables ``OTS_*`` of this process."""

    def lines(self) -> Iterable[Line]:
        """Return the variables, the usual name and spelling of each first."""
        layout, upper = self.context.layout, self.context.layout.prefix.upper()
        exact: list[Line] = []
        others: list[Line] = []
        aliases: list[Line] = []
        for name in os.environ:
            spelt = name if layout.case_sensitive else name.upper()
            field = layout.variables.get(spelt, "")
            if field or (upper and name.upper().startswith(upper)):
                text = f"environment variable {names.visible(name) or f'{layout.prefix}*'}"
                kind = aliases if field and layout.names[field] != spelt else exact if name == spelt else others
                kind.append(Line(name, os.environ[name], Origin(text, "environment")))
        return exact + others + aliases


class EnvFiles(Variables, DotEnvSettingsSource):
    """Env files; of several the last wins, and of several lines the last."""

    def lines(self) -> Iterator[Line]:
        """Return the lines of the files, the last first, those in the usual spelling before the others."""
        context, spell = self.context, self.context.layout.spell
        for named in reversed(context.paths("env_file", context.where.env_file)):
            context.files.append(named.path)
            if named.required or files.exists(named.path):
                yield from sorted(self._read(named), key=lambda line: line.name != spell(line.name))

    def _read(self, named: NamedPath) -> list[Line]:
        """Return the lines of one file, the last first."""
        context, layout = self.context, self.context.layout
        try:
            text, exposure = files.read(named.path)
        except Refusal as refusal:
            if named.discovered:
                context.warnings.append(f"{refusal.reason}; it is ignored")
            else:
                context.unreadable("env_file", refusal, named.origin)
            return []
        lines: list[Line] = []
        exposed = False
        for binding in files.bindings(text):
            place = f"{named.path} line {binding.line}"
            if binding.value is None:
                self._broken(binding.name, place)
            elif binding.name.upper() in names.CLOUD_KEYS:
                self._unused_key(binding.name, place)
            elif layout.reads(binding.name):
                lines.append(Line(binding.name, binding.value, Origin(place, named.path, named.discovered)))
                leaf = layout.leaves.get(layout.variables.get(layout.spell(binding.name), ""))
                exposed = exposed or (leaf is not None and leaf.holds_secret(binding.value))
        if exposed and exposure:
            context.warnings.append(exposure)
        lines.reverse()
        return lines

    def _unused_key(self, name: str, place: str) -> None:
        """Note a key that the credentials would read from the environment; a program may have put it there."""
        field = names.CLOUD_KEYS[name.upper()]
        if not os.environ.get(name.upper()):
            said = f"Did you mean {self.context.layout.names[field]}? {name.upper()} counts only in the environment"
            self.context.causes.setdefault(field, f"{said} ({place}).")
            self.context.unused_keys.append(f"{place} sets nothing. {said}, not in a file.")

    def _broken(self, name: str, place: str) -> None:
        context, layout = self.context, self.context.layout
        field = layout.variables.get(layout.spell(name))
        hint = "Write NAME=value, and close each quote on the line that opens it."
        if field:
            context.attempted.add(field)
        if field is not None or (name and name.startswith(layout.prefix)):
            context.problems.append(
                SettingsProblem(field or "env_file", "is on a line that cannot be read", place, hint)
            )
        else:
            context.warnings.append(f"{place} cannot be read and is ignored. {hint}")


def bare(layout: Layout) -> Callable[[str], str]:
    """Return what writes a variable as the name of a file or key that stands for it."""
    return lambda variable: variable.removeprefix(layout.prefix).lower()


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

    def _line(self, name: str, path: str, directory: NamedPath) -> Line | None:
        context, layout = self.context, self.context.layout
        origin = Origin(f"secrets file {path}", directory.path, directory.discovered)
        # The keys of a Kubernetes secret are often written with hyphens.
        cased = layout.spell(name).replace("-", "_")
        variable = cased if cased.startswith(layout.prefix) else layout.prefix + cased
        field = self._field(variable)
        if not field:
            ours = cased.startswith(layout.prefix)
            context.check_name(name if ours else variable, origin.text, str if ours else bare(layout), certain=ours)
            return None
        context.files.append(path)
        try:
            text, exposure = files.read(path)
        except Refusal as refusal:
            context.unreadable(field, refusal, origin.text)
            return None
        leaf = layout.leaves.get(field)
        if exposure and leaf is not None and leaf.holds_secret(text.strip()):
            context.warnings.append(exposure)
        return Line(variable, text, origin)
