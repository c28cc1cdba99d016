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
from ots_config.settings.provenance import FoundValue, layout
from ots_config.settings.validators import parse_json

FileNames = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None

DEFAULT_ENV_FILE = ".env"


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
    """

    path: Path
    origin: str
    required: bool = True


class Line(NamedTuple):
    """A variable, its value, and where it stands."""

    name: str
    value: str
    origin: str


class Context:
    """What the sources share while one settings object is built.

    Attributes:
        cls: The class of the settings.
        layout: The settings that can be found.
        arguments: What the caller passed.
        where: Which files the caller named.
        environment: The variables of this process that have the prefix.
        provenance: The values found so far by field, the strongest first.
        problems: What is wrong so far.
        warnings: What is probably wrong so far.
        files: Every file that was looked for.
        complete: Whether every source could be read.
    """

    def __init__(self, cls: type[BaseSettings], arguments: Mapping[str, Any], where: Where | None) -> None:
        self.cls = cls
        self.layout = layout(cls)
        self.arguments = arguments
        self.where = where or Where()
        self.environment = {} if where is None else names.environment(self.layout.prefix, self.layout.unprefixed)
        self.provenance: dict[str, list[FoundValue]] = {}
        self.problems: list[SettingsProblem] = []
        self.warnings: list[str] = []
        self.files: list[Path] = []
        self.complete = True

    # --- what the sources report ----------------------------------------------------------------------

    def unreadable(self, field: str, refusal: Refusal, origin: str) -> None:
        """Report a source that cannot be read: what it might have given is not reported as missing."""
        self.complete = False
        self.problems.append(SettingsProblem(field, refusal.reason, origin, refusal.hint))

    def spread(self, name: str, value: Any, origin: Callable[[str], str], rank: int) -> list[FoundValue]:
        """Return the leaves of a value: itself, or those of a nested setting.

        Args:
            name: A leaf or a part of the layout.
            value: The value found.
            origin: Returns where a leaf's value was found.
            rank: The place of its source in the precedence.
        """
        leaf = self.layout.leaves.get(name)
        if leaf is not None:
            return [FoundValue(name, leaf.wrap(value), origin(name), rank)]
        part = self.layout.parts[name]
        nested = dict(value) if isinstance(value, (Mapping, part)) else unfold(part, value)
        if nested is None:
            shorthand = getattr(part, "shorthand", "")
            kinds = f"{f'a {shorthand}, ' if shorthand else ''}a dictionary or {part.__name__}"
            self.problems.append(SettingsProblem(name, f"is not {kinds}", origin(name), f"Give {kinds}."))
            return []
        found: list[FoundValue] = []
        for key, each in nested.items():
            inner = f"{name}.{key}"
            if inner in self.layout.leaves or inner in self.layout.parts:
                found += self.spread(inner, each, origin, rank)
            else:
                shown = names.visible(str(key))
                hint = names.one_of(part.model_fields, str(key))
                field = f"{name}.{shown}" if shown else f"a name in {name}"
                self.problems.append(SettingsProblem(field, UNKNOWN, origin(name), hint))
        return found

    def check_name(self, name: str, origin: str, shown_as: Callable[[str], str] = str) -> None:
        """Warn of a name that sets nothing and is probably a misspelt one."""
        known = self.layout
        if not known.prefix or name in known.controls.values():
            return
        real = known.variables | dict.fromkeys(known.controls.values(), "")
        meant = names.meant(name, known.prefix, real, known.parts)
        if meant:
            shown = names.visible(shown_as(name))
            where = origin if shown and shown in origin else f"{origin}: {shown or 'its name'}"
            self.warnings.append(f"{where} sets nothing. Did you mean {shown_as(meant)}?")

    # --- where to look --------------------------------------------------------------------------------

    @property
    def profile(self) -> tuple[str, str] | None:
        """The profile that was chosen by name, and where; None if none was."""
        given = self.where.profile
        return (given, "argument") if given else self.control("profile")

    def control(self, name: str) -> tuple[str, str] | None:
        """Return the value and origin of a variable that steers the sources, from environment or env file."""
        variable = self.layout.controls[name]
        value = self.environment.get(variable, "").strip()
        if value:
            return value, f"environment variable {variable}"
        if name != "env_file":
            for line in reversed(self.env_lines):
                if line.name == variable and line.value.strip():
                    return line.value.strip(), line.origin
        return None

    def paths(self, name: str, named: FileNames = None) -> list[NamedPath]:
        """Return the files that an argument, a variable, or else the class's ``model_config`` names."""
        found = self.control(name) if named is None else None
        if found:
            return [NamedPath(files.expand(found[0]), found[1])]
        config = named is None
        named = self.cls.model_config.get(name) if named is None else named  # type: ignore[assignment]
        origin = f"model_config of {self.cls.__name__}" if config else "argument"
        several = [named] if isinstance(named, (str, os.PathLike)) else list(named or ())
        return [NamedPath(files.expand(each), origin, required=not config) for each in several]

    @cached_property
    def env_lines(self) -> list[Line]:
        """The variables of all env files, in the order of the files and their lines."""
        lines: list[Line] = []
        for each in self.paths("env_file", self.where.env_file):
            self.files.append(each.path)
            if each.required or files.exists(each.path):
                lines += self._env_file(each)
        return lines

    def _env_file(self, named: NamedPath) -> list[Line]:
        try:
            text, exposure = files.read(named.path)
        except Refusal as refusal:
            if named.required or str(named.path) != DEFAULT_ENV_FILE:
                self.unreadable("env_file", refusal, named.origin)
            else:
                self.warnings.append(f"{refusal.reason}; it is ignored")
            return []
        lines: list[Line] = []
        variables, leaves, prefix = self.layout.variables, self.layout.leaves, self.layout.prefix.upper()
        exposed = False
        for binding in files.bindings(text):
            place = f"{named.path} line {binding.line}"
            if binding.broken:
                self._broken(binding.name, place)
            elif binding.value and (binding.name in variables or binding.name.upper().startswith(prefix)):
                lines.append(Line(binding.name, binding.value, place))
                leaf = leaves.get(variables.get(binding.name, ""))
                exposed = exposed or (leaf is not None and leaf.holds_secret(binding.value))
        if exposed and exposure:
            self.warnings.append(exposure)
        return lines

    def _broken(self, name: str, place: str) -> None:
        field = self.layout.variables.get(name)
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
