"""What the sources share while one settings object is built: where to look, what was found, what is wrong."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from ots_config.errors import SettingsProblem
from ots_config.settings import files, names
from ots_config.settings.fields import Fields
from ots_config.settings.problems import UNKNOWN, Refusal
from ots_config.settings.provenance import FoundValue, Origin, layout, nest
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


class NamedPath(NamedTuple):
    """A file or directory to read.

    Attributes:
        path: Its path.
        origin: Where it was named.
        required: Whether it is wrong that it is absent; what a class names may be.
        discovered: Whether nobody named it, or only a file that nobody named.
    """

    path: str
    origin: str
    required: bool = True
    discovered: bool = False


class Context:
    """What the sources share while one settings object is built.

    Attributes:
        cls: The class of the settings.
        layout: The settings that can be found.
        arguments: What the caller passed.
        where: Which files the caller named.
        controls: Value and origin of each variable that names files or the profile, as far as it was found.
        provenance: The values found so far by field, the strongest first.
        problems: What is wrong so far.
        warnings: What is probably wrong so far.
        causes: By field, the hint for what was probably meant to set it: a misspelt name, a profile not chosen.
        attempted: Fields that a problem is about already, under another name: they are not reported as missing too.
        unused_keys: Warnings of keys that a file holds under names that count only in the environment.
        files: Every file that was looked for.
        complete: Whether every source could be read.
    """

    def __init__(self, cls: type[BaseSettings], arguments: Mapping[str, Any], where: Where) -> None:
        self.cls = cls
        self.layout = layout(cls)
        self.arguments = arguments
        self.where = where
        self.controls: dict[str, tuple[str, Origin]] = {}
        self.provenance: dict[str, list[FoundValue]] = {}
        self.problems: list[SettingsProblem] = []
        self.warnings: list[str] = []
        self.causes: dict[str, str] = {}
        self.attempted: set[str] = set()
        self.unused_keys: list[str] = []
        self.files: list[str] = []
        self.complete = True
        self._unknown = 0
        if not isinstance(where.profile, str | None):
            self.unreadable("profile", Refusal("is not text", "Name a profile of ots.toml."), "argument")
            self.where = where._replace(profile=None)

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
                self.problems.append(SettingsProblem(field, UNKNOWN, origin(inner).text, hint))
        return found

    def check_name(self, name: str, origin: str, shown_as: Callable[[str], str] = str, *, certain: bool = True) -> None:
        """Warn of a name that sets nothing and is probably a misspelt one.

        Args:
            name: The variable, or what would be one.
            origin: Where it was found.
            shown_as: Returns how a variable is written there.
            certain: Whether the name is meant for us; if not, only an error mentions it.
        """
        known = self.layout
        if not known.prefix or known.spell(name) in known.controls or self._unknown == MAX_UNKNOWN:
            return
        self._unknown += 1
        real = known.variables | known.controls
        meant = names.meant(name, known.prefix, real, known.parts)
        if meant:
            shown = names.visible(shown_as(name))
            where = origin if shown and shown in origin else f"{origin}: {shown or 'its name'}"
            if certain:
                self.warnings.append(f"{where} sets nothing. Did you mean {shown_as(meant)}?")
            hint = f"Did you mean {shown_as(meant)}? {shown or 'A name like it'} is set ({origin})."
            self.causes.setdefault(real[meant], hint)

    def hint(self, otherwise: str, *fields: str) -> str:
        """Return the hint for settings that are not set: what was probably meant to set them, if there is such."""
        return next((self.causes[name] for name in (*fields, *names.CONTROLS) if name in self.causes), otherwise)

    # --- where to look --------------------------------------------------------------------------------

    @property
    def profile(self) -> tuple[str, str] | None:
        """The profile that was chosen by name, and where; None if none was."""
        if self.where.profile:
            return self.where.profile, "argument"
        found = self.controls.get("profile")
        return (found[0], found[1].text) if found else None

    def paths(self, name: str, named: FileNames = None) -> list[NamedPath]:
        """Return the files that an argument, a variable, or else the class's ``model_config`` names."""
        found = self.controls.get(name) if named is None else None
        if found:
            value, place = found
            return [NamedPath(files.expand(value), place.text, discovered=place.discovered)]
        config = named is None
        named = self.cls.model_config.get(name) if named is None else named  # type: ignore[assignment]
        if config and named is DEFAULT_ENV_FILE:
            return [NamedPath(".env", "", required=False, discovered=True)]
        origin = f"model_config of {self.cls.__name__}" if config else "argument"
        several = [named] if isinstance(named, (str, os.PathLike)) else named or ()
        try:
            return [NamedPath(files.expand(each), origin, required=not config) for each in several]
        except TypeError:  # neither a text nor a path, or no list of them
            self.unreadable(name, Refusal("is not the name of a file", "Give a path, or a list of paths."), origin)
            return []


def unfold(part: type[BaseModel], value: Any) -> dict[str, Any] | None:
    """Return what a text stands for that is given for a whole part: JSON, or its one field that has a shorthand."""
    if not isinstance(value, str):
        return None
    shorthand: str | None = getattr(part, "shorthand", None)
    if value.lstrip().startswith("{"):
        nested = parse_json(value)
        return nested if isinstance(nested, dict) else None
    return {shorthand: value} if shorthand else None


# --- a source ------------------------------------------------------------------------------------------------


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


TEXT = FieldInfo(annotation=str)
OURS = Fields.model_fields


def narrowed(context: Context, found: Iterable[str]) -> Any:
    """Return a stand-in for the settings class with the fields that something was found for.

    pydantic-settings looks at all fields, and deep into the type of each, though our own validators parse any text.
    """
    fields: dict[str, FieldInfo] = {}
    for name in found:
        top = name.partition(".")[0]
        info = context.layout.fields[top]
        text = top in OURS and OURS[top].annotation is info.annotation and top not in context.layout.parts
        fields[top] = TEXT if text else info
    return SimpleNamespace(model_fields=fields, model_config=context.cls.model_config)
