"""What the sources share while one settings object is built: where to look, what was found, what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_settings import BaseSettings

from ots_config.errors import SettingsProblem
from ots_config.settings import files, names
from ots_config.settings.problems import UNKNOWN, Refusal
from ots_config.settings.provenance import FoundValue, Origin, layout
from ots_config.settings.validators import parse_json

FileNames = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None

DEFAULT_ENV_FILE = Path(".env")
"""The env file that is read though nobody names it; a subclass whose ``env_file`` is ".env" names another object."""

MAX_UNKNOWN = 100
"""How many unknown names are compared with the real ones, so that a file full of them takes a bounded time."""


class Where(NamedTuple):
    """Which files the caller named.

    Attributes:
        env_file: Env files, the last wins; None for the usual one, empty for none.
        secrets_dir: Secrets directories, the last wins; None for the usual one, empty for none.
        profile: The profile of ots.toml; None for the usual one.
    """

    env_file: FileNames = None
    secrets_dir: FileNames = None
    profile: str | None = None


class Inputs(NamedTuple):
    """What settings were built from, so that they can be built again.

    Attributes:
        arguments: The caller's arguments, secrets wrapped.
        where: Which files the caller named.
        files: Every file that was looked for.
    """

    arguments: dict[str, Any]
    where: Where
    files: tuple[Path, ...]


class NamedPath(NamedTuple):
    """A file or directory to read.

    Attributes:
        path: Its path.
        origin: Where it was named.
        required: Whether it is wrong that it is absent; what a class names may be.
        discovered: Whether nobody named it, or only a file that nobody named.
    """

    path: Path
    origin: str
    required: bool = True
    discovered: bool = False


class Line(NamedTuple):
    """A variable, its value, and where it stands."""

    name: str
    value: str
    origin: Origin


class Context:
    """What the sources share while one settings object is built.

    Attributes:
        cls: The class of the settings.
        layout: The settings that can be found.
        arguments: What the caller passed.
        where: Which files the caller named.
        environment: The variables of this process that the settings read.
        provenance: The values found so far by field, the strongest first.
        problems: What is wrong so far.
        warnings: What is probably wrong so far.
        misspelt: The hint for a setting that a misspelt name was probably meant to set.
        files: Every file that was looked for.
        complete: Whether every source could be read.
    """

    def __init__(self, cls: type[BaseSettings], arguments: Mapping[str, Any], where: Where | None) -> None:
        self.cls = cls
        self.layout = layout(cls)
        self.arguments = arguments
        self.where = where or Where()
        self.provenance: dict[str, list[FoundValue]] = {}
        self.problems: list[SettingsProblem] = []
        self.warnings: list[str] = []
        self.misspelt: dict[str, str] = {}
        self.files: list[Path] = []
        self.complete = True
        self._unknown = 0
        self.environment = [] if where is None else self._variables()
        if not isinstance(self.where.profile, str | None):
            self.unreadable("profile", Refusal("is not text", "Name a profile of ots.toml."), "argument")
            self.where = self.where._replace(profile=None)

    # --- what the sources report ----------------------------------------------------------------------

    def unreadable(self, field: str, refusal: Refusal, origin: str) -> None:
        """Report a source that cannot be read: what it might have given is not reported as missing."""
        self.complete = False
        self.problems.append(SettingsProblem(field, refusal.reason, origin, refusal.hint))

    def spread(self, name: str, value: Any, origin: Callable[[str], Origin]) -> list[FoundValue]:
        """Return the leaves of a value: itself, or those of a nested setting.

        Args:
            name: A leaf or a part of the layout.
            value: The value found.
            origin: Returns where a leaf's value was found.
        """
        leaf = self.layout.leaves.get(name)
        if leaf is not None:
            return [FoundValue(name, leaf.wrap(value), origin(name))]
        part = self.layout.parts[name]
        nested = dict(value) if isinstance(value, (Mapping, part)) else unfold(part, value)
        if nested is None:
            shorthand = getattr(part, "shorthand", "")
            kinds = f"{f'a {shorthand}, ' if shorthand else ''}a dictionary or {part.__name__}"
            self.problems.append(SettingsProblem(name, f"is not {kinds}", origin(name).text, f"Give {kinds}."))
            return []
        found: list[FoundValue] = []
        for key, each in ((key if isinstance(key, str) else "", each) for key, each in nested.items()):
            inner = f"{name}.{key}"
            if inner in self.layout.leaves or inner in self.layout.parts:
                found += self.spread(inner, each, origin)
            else:
                shown = names.visible(key)
                hint = names.one_of(part.model_fields, key)
                field = f"{name}.{shown}" if shown else f"a name in {name}"
                self.problems.append(SettingsProblem(field, UNKNOWN, origin(name).text, hint))
        return found

    def check_name(self, name: str, origin: str, shown_as: Callable[[str], str] = str) -> None:
        """Warn of a name that sets nothing and is probably a misspelt one."""
        known = self.layout
        if not known.prefix or known.spell(name) in known.controls.values() or self._unknown == MAX_UNKNOWN:
            return
        self._unknown += 1
        real = known.variables | {variable: control for control, variable in known.controls.items()}
        meant = names.meant(name, known.prefix, real, known.parts)
        if meant:
            shown = names.visible(shown_as(name))
            where = origin if shown and shown in origin else f"{origin}: {shown or 'its name'}"
            self.warnings.append(f"{where} sets nothing. Did you mean {shown_as(meant)}?")
            hint = f"Did you mean {shown_as(meant)}? {shown or 'A name like it'} is set ({origin})."
            self.misspelt.setdefault(real[meant], hint)

    def hint(self, otherwise: str, *fields: str) -> str:
        """Return the hint for settings that are not set: the misspelt name that is the cause, if there is one."""
        causes = [self.misspelt[name] for name in (*fields, *self.layout.controls) if name in self.misspelt]
        return causes[0] if causes else otherwise

    # --- where to look --------------------------------------------------------------------------------

    @property
    def profile(self) -> tuple[str, str] | None:
        """The profile that was chosen by name, and where; None if none was."""
        if self.where.profile:
            return self.where.profile, "argument"
        found = self.control("profile")
        return (found[0], found[1].text) if found else None

    def control(self, name: str) -> tuple[str, Origin] | None:
        """Return the value and origin of a variable that steers the sources, from environment or env file."""
        for lines in (self.environment, [] if name == "env_file" else self.env_lines):
            for line in reversed(lines):
                if self.layout.spell(line.name) == self.layout.controls[name] and line.value.strip():
                    return line.value.strip(), line.origin
        return None

    def paths(self, name: str, named: FileNames = None) -> list[NamedPath]:
        """Return the files that an argument, a variable, or else the class's ``model_config`` names."""
        found = self.control(name) if named is None else None
        if found:
            value, place = found
            return [NamedPath(files.expand(value), place.text, discovered=place.discovered)]
        config = named is None
        named = self.cls.model_config.get(name) if named is None else named  # type: ignore[assignment]
        origin = f"model_config of {self.cls.__name__}" if config else "argument"
        several = [named] if isinstance(named, (str, os.PathLike)) else named or ()
        try:
            paths = [files.expand(each) for each in several]
        except TypeError:  # neither a text nor a path, or no list of them
            self.unreadable(name, Refusal("is not the name of a file", "Give a path, or a list of paths."), origin)
            return []
        discovered = config and named is DEFAULT_ENV_FILE
        return [NamedPath(path, origin, required=not config, discovered=discovered) for path in paths]

    def _variables(self) -> list[Line]:
        """Return the variables of this process that the settings read."""
        lines: list[Line] = []
        for name in filter(self.layout.reads, os.environ):
            text = f"environment variable {names.visible(name) or f'{self.layout.prefix}*'}"
            lines.append(Line(name, os.environ[name], Origin(text, "environment")))
        return self._one_spelling(lines)

    def _one_spelling(self, lines: list[Line]) -> list[Line]:
        """Return the lines without those whose variable is there in its usual spelling too."""
        usual = {line.name: line for line in lines if line.value and line.name == self.layout.spell(line.name)}
        kept: list[Line] = []
        for line in lines:
            other = usual.get(self.layout.spell(line.name), line)
            if other.name == line.name:
                kept.append(line)
            elif line.value:
                shown = names.visible(line.name) or "the same name in another case"
                places = "" if line.origin.text.endswith(shown) else f" ({line.origin.text})"
                self.warnings.append(f"{shown}{places} is not used: {other.name} is set too ({other.origin.text})")
        return kept

    @cached_property
    def env_lines(self) -> list[Line]:
        """The variables of all env files, in the order of the files and their lines."""
        lines: list[Line] = []
        for each in self.paths("env_file", self.where.env_file):
            self.files.append(each.path)
            if each.required or files.exists(each.path):
                lines += self._one_spelling(self._env_file(each))
        return lines

    def _env_file(self, named: NamedPath) -> list[Line]:
        try:
            text, exposure = files.read(named.path)
        except Refusal as refusal:
            if named.discovered:
                self.warnings.append(f"{refusal.reason}; it is ignored")
            else:
                self.unreadable("env_file", refusal, named.origin)
            return []
        lines: list[Line] = []
        variables, leaves = self.layout.variables, self.layout.leaves
        exposed = False
        for binding in files.bindings(text):
            place = f"{named.path} line {binding.line}"
            if binding.broken:
                self._broken(binding.name, place)
            elif binding.value and self.layout.reads(binding.name):
                lines.append(Line(binding.name, binding.value, Origin(place, str(named.path), named.discovered)))
                leaf = leaves.get(variables.get(self.layout.spell(binding.name), ""))
                exposed = exposed or (leaf is not None and leaf.holds_secret(binding.value))
        if exposed and exposure:
            self.warnings.append(exposure)
        return lines

    def _broken(self, name: str, place: str) -> None:
        field = self.layout.variables.get(self.layout.spell(name))
        hint = "Write NAME=value, and close each quote on the line that opens it."
        if field is not None or (name and name.startswith(self.layout.prefix)):
            self.problems.append(SettingsProblem(field or "env_file", "is on a line that cannot be read", place, hint))
        else:
            self.warnings.append(f"{place} cannot be read and is ignored. {hint}")


def unfold(part: type[BaseModel], value: Any) -> dict[str, Any] | None:
    """Return what a text stands for that is given for a whole part: JSON, or its one field that has a shorthand."""
    if not isinstance(value, str):
        return None
    shorthand: str | None = getattr(part, "shorthand", None)
    if value.lstrip().startswith("{"):
        document = parse_json(value)
        return document if isinstance(document, dict) else None
    return {shorthand: value} if shorthand else None
