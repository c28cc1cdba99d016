"""One reading of all the sources: what they are given, and what they leave behind for the model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretStr

from ots_config.errors import SettingsProblem
from ots_config.settings import files, names
from ots_config.settings.checks import one_of
from ots_config.settings.ledger import Found, Layout
from ots_config.settings.problems import Refusal

FileNames = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None


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
    """What settings were built from, so that they can be built anew.

    Attributes:
        arguments: The caller's arguments, secrets wrapped.
        where: Which files the caller named.
        files: Every file that was looked at.
    """

    arguments: dict[str, Any]
    where: Where
    files: tuple[Path, ...]


def wrapped(arguments: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """Return arguments whose secrets are not shown."""

    def hidden(name: str, value: Any) -> Any:
        leaf = layout.leaves.get(name)
        return SecretStr(value) if leaf is not None and leaf.secret and isinstance(value, str) else value

    return {name: hidden(name, value) for name, value in arguments.items()}


class EnvLine(NamedTuple):
    """A variable of an env file, and where it stands."""

    name: str
    value: str
    origin: str


class Reading:
    """What the sources share while one settings object is built.

    Attributes:
        layout: The settings that can be found.
        arguments: The caller's arguments.
        where: Which files the caller named.
        environment: The variables that start with ``OTS_``.
        ledger: The values found so far, the strongest first.
        problems: What is wrong so far.
        doubts: What is doubtful so far.
        seen: Every file that was looked at, with its signature.
        whole: Whether every source could be read.
    """

    def __init__(self, layout: Layout, arguments: dict[str, Any], where: Where, environment: dict[str, str]) -> None:
        self.layout = layout
        self.arguments = arguments
        self.where = where
        self.environment = environment
        self.ledger: dict[str, list[Found]] = {}
        self.problems: list[SettingsProblem] = []
        self.doubts: list[str] = []
        self.seen: dict[Path, files.Signature] = {}
        self.whole: bool = True
        self._env_lines: list[EnvLine] = []
        self._env_read = False

    # --- how sources report ---------------------------------------------------------------------------

    def unreadable(self, field: str, refusal: Refusal, origin: str) -> None:
        """Note a source that cannot be read: what it would have given is not called missing."""
        self.whole = False
        self.problems.append(SettingsProblem(field, refusal.reason, origin, refusal.hint))

    def spread(self, name: str, value: Any, origin: str, rank: int) -> list[Found]:
        """Return the leaves of a value: itself, or the parts of a nested one.

        Args:
            name: A leaf or a part of the layout.
            value: The value found.
            origin: Where.
            rank: The place of its source in the precedence.
        """
        leaf = self.layout.leaves.get(name)
        if leaf is not None:
            if leaf.secret and isinstance(value, str):
                value = SecretStr(value)
            return [Found(name, value, origin, rank)]
        part = self.layout.parts[name]
        if isinstance(value, part):
            return [Found(f"{name}.{each}", getattr(value, each), origin, rank) for each in part.model_fields]
        if isinstance(value, str):
            value = _unfold(part, value)
        if not isinstance(value, Mapping):
            shorthand = getattr(part, "shorthand", None)
            kinds = f"{f'a {shorthand}, ' if shorthand else ''}a dictionary or {part.__name__}"
            self.problems.append(SettingsProblem(name, "it cannot be taken apart", origin, f"Give {kinds}."))
            return []
        found: list[Found] = []
        for key, each in value.items():
            if isinstance(key, str) and f"{name}.{key}" in self.layout.leaves:
                found += self.spread(f"{name}.{key}", each, origin, rank)
            else:
                self._stray(name, part, key, origin)
        return found

    def _stray(self, name: str, part: type[BaseModel], key: Any, origin: str) -> None:
        shown = names.visible(key) if isinstance(key, str) else ""
        field = f"{name}.{shown}" if shown else name
        hint = one_of(part.model_fields, str(key))
        self.problems.append(SettingsProblem(field, f"there is no such setting in {name}", origin, hint))

    # --- what several sources look up -----------------------------------------------------------------

    @property
    def profile(self) -> tuple[str, str] | None:
        """The profile that was chosen by name, and where; None if none was."""
        given = self.where.profile
        return (given, "argument") if given else self.control(names.PROFILE)

    def control(self, name: str) -> tuple[str, str] | None:
        """Return the value and origin of a variable that steers the sources, from environment or env file."""
        value = self.environment.get(name, "").strip()
        if value:
            return value, f"environment variable {name}"
        if name != names.ENV_FILE:
            for line in reversed(self.env_lines()):
                if line.name == name and line.value.strip():
                    return line.value.strip(), line.origin
        return None

    def paths(self, named: FileNames, control: str) -> tuple[list[tuple[Path, str]], bool]:
        """Return the paths that an argument or a variable names, with their origin, and whether any does."""
        if named is not None:
            several = [named] if isinstance(named, (str, os.PathLike)) else list(named)
            return [(files.expand(each), "argument") for each in several], True
        found = self.control(control)
        return ([(files.expand(found[0]), found[1])], True) if found else ([], False)

    def env_lines(self) -> list[EnvLine]:
        """Return the variables of all env files, in the order of the files and their lines."""
        if not self._env_read:
            self._env_read = True
            named, given = self.paths(self.where.env_file, names.ENV_FILE)
            for path, origin in named:
                self._read_env_file(path, origin)
            usual = Path(".env")
            if not given:
                self.seen[usual] = files.signature(usual)
                if files.exists(usual):
                    self._read_env_file(usual, None)
        return self._env_lines

    def _read_env_file(self, path: Path, origin: str | None) -> None:
        try:
            text, exposure = files.read(path, self.seen)
        except Refusal as refusal:
            if origin is None:
                self.doubts.append(f"{refusal.reason}; it is left out")
            else:
                self.unreadable("env_file", refusal, origin)
            return
        exposed = False
        for binding in files.bindings(text):
            place = f"{path} line {binding.line}"
            if binding.broken:
                self._broken(binding.name, place)
            elif binding.value and binding.name.upper().startswith(names.PREFIX):
                self._env_lines.append(EnvLine(binding.name, binding.value, place))
                leaf = self.layout.leaves.get(self.layout.variables.get(binding.name, ""))
                exposed = exposed or (leaf is not None and leaf.holds_secret(binding.value))
        if exposed and exposure:
            self.doubts.append(exposure)

    def _broken(self, name: str, place: str) -> None:
        field = self.layout.variables.get(name)
        hint = "Write NAME=value, and close each quote on the line that opens it."
        if field is not None:
            self.problems.append(SettingsProblem(field, "the line cannot be read", place, hint))
        elif name.startswith(names.PREFIX):
            self.problems.append(SettingsProblem("env_file", "the line cannot be read", place, hint))
        else:
            self.doubts.append(f"{place} cannot be read and is left out. {hint}")


def _unfold(part: type[BaseModel], text: str) -> Any:
    """Return the dictionary that a text stands for: JSON, or the one field that has a shorthand."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None
    shorthand: str | None = getattr(part, "shorthand", None)
    return {shorthand: text} if shorthand else None
