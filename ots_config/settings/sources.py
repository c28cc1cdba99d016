"""Where settings come from, and in which order: the sources as one tuple, the highest first."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from ots_config.errors import SettingsProblem
from ots_config.settings import files, names
from ots_config.settings.agreement import agree
from ots_config.settings.checks import one_of
from ots_config.settings.ledger import Found, name_of
from ots_config.settings.problems import Refusal
from ots_config.settings.reading import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_settings import BaseSettings


class Source(PydanticBaseSettingsSource):
    """One place where settings are found.

    Attributes:
        rank: Its place in the precedence, 0 is the highest.
    """

    def __init__(self, settings_cls: type[BaseSettings], reading: Reading, rank: int) -> None:
        super().__init__(settings_cls)
        self.reading = reading
        self.rank = rank

    @abstractmethod
    def read(self) -> list[Found]:
        """Return every value found, the strongest first where one setting has several."""

    def __call__(self) -> dict[str, Any]:
        """Return the strongest values, nested, as pydantic-settings expects them."""
        return nest({found.field: found.value for found in reversed(self.read())})

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return one field's value, as pydantic-settings expects it."""
        del field
        return self().get(field_name), field_name, False

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _one(self, name: str, value: Any, origin: str) -> list[Found]:
        return self.reading.spread(name, value, origin, self.rank)

    def _variables(self, lines: Iterable[tuple[str, str, str]]) -> list[Found]:
        """Return what variables give: (name, value, origin), the strongest first; empty ones count as unset."""
        variables = self.reading.layout.variables
        wholes: list[Found] = []
        found: list[Found] = []
        for name, value, origin in lines:
            field = variables.get(name)
            if field is None:
                self._foreign(name, origin)
                continue
            value = value.strip("\r\n")  # noqa: PLW2901 - a shell's here-document leaves a line break
            if value:
                # What a part's own variable says is stronger than what its whole's says.
                (wholes if field in self.reading.layout.parts else found).extend(self._one(field, value, origin))
        return found + wholes

    def _foreign(self, name: str, origin: str) -> None:
        if name in names.NEIGHBOURS:
            return
        meant = self._meant(name)
        if meant:
            shown = names.visible(name)
            where = origin if shown and shown in origin else f"{origin}: {shown or 'its name'}"
            self.reading.doubts.append(f"{where} sets nothing. Did you mean {meant}?")

    def _meant(self, name: str) -> str:
        layout = self.reading.layout
        return names.meant(name, (*layout.variables, *names.NEIGHBOURS), layout.parts)


class Arguments(Source):
    """What the caller passed; None counts as not given."""

    def read(self) -> list[Found]:
        """Return the arguments."""
        layout = self.reading.layout
        found: list[Found] = []
        for name, value in self.reading.arguments.items():
            if name in layout.leaves or name in layout.parts:
                if value is not None:
                    found += self._one(name, value, "argument")
            else:
                self._unknown(name)
        return found

    def _unknown(self, name: str) -> None:
        layout = self.reading.layout
        top = [field for field in (*layout.leaves, *layout.parts) if "." not in field]
        near = names.nearest(name, top) or next(
            (field for field in layout.leaves if field.partition(".")[2] == name), ""
        )
        shown = names.visible(name) or near or "argument"
        hint = f"Did you mean {near}?" if near else one_of(top, "")
        self.reading.problems.append(SettingsProblem(shown, "there is no such setting", "argument", hint))


class Environment(Source):
    """The variables ``OTS_*`` of this process."""

    def read(self) -> list[Found]:
        """Return what the variables give."""
        return self._variables(
            (name, value, f"environment variable {names.visible(name) or 'OTS_*'}")
            for name, value in sorted(self.reading.environment.items(), key=lambda item: item[0] in names.ALIASES)
        )


class EnvFiles(Source):
    """Env files; of several the last wins, and of several lines the last."""

    def read(self) -> list[Found]:
        """Return what the files give."""
        return self._variables(reversed(self.reading.env_lines()))


class SecretsDirectory(Source):
    """Directories with one file for each setting, named ``access_key_secret`` or ``OTS_ACCESS_KEY_SECRET``."""

    def read(self) -> list[Found]:
        """Return what the files hold."""
        found: list[Found] = []
        named, _ = self.reading.paths(self.reading.where.secrets_dir, names.SECRETS_DIR)
        for directory, origin in reversed(named):
            try:
                entries = files.entries(directory, self.reading.seen)
            except Refusal as refusal:
                self.reading.unreadable("secrets_dir", refusal, origin)
                continue
            lines = (self._line(name, path) for name, path in sorted(entries.items()))
            found += self._variables(line for line in lines if line)
        return found

    def _line(self, name: str, path: Path) -> tuple[str, str, str] | None:
        layout = self.reading.layout
        variable = name.upper() if name.upper().startswith(names.PREFIX) else names.PREFIX + name.upper()
        field = layout.variables.get(variable)
        if field is None:
            prefixed = name.upper().startswith(names.PREFIX)
            return (name, "", f"secrets file {path}") if prefixed else None
        try:
            text, exposure = files.read(path, self.reading.seen)
        except Refusal as refusal:
            self.reading.unreadable(field, refusal, f"secrets file {path}")
            return None
        leaf = layout.leaves.get(field)
        if exposure and leaf is not None and leaf.holds_secret(text.strip()):
            self.reading.doubts.append(exposure)
        return variable, text, f"secrets file {path}"


class Profile(Source):
    """One profile of ots.toml, the one named or ``default``."""

    def read(self) -> list[Found]:
        """Return what the profile gives."""
        reading = self.reading
        wanted = reading.profile
        name, origin = wanted or ("default", "")
        path, table, exposure = self._profiles(wanted)
        if path is None:
            return []
        if name not in table:
            if wanted:
                refusal = Refusal(f"{name_of(path)} has no such profile", one_of(table, name))
                reading.unreadable("profile", refusal, origin)
            return []
        place = f"profile [profiles.{name}] in {path}"
        found: list[Found] = []
        for key, value in table[name].items():
            if key in reading.layout.leaves or key in reading.layout.parts:
                found += self._one(key, value, place) if value != "" else []
            elif names.variable(key) not in names.NEIGHBOURS and (meant := self._meant(names.variable(key))):
                hint = f"Did you mean {meant.removeprefix(names.PREFIX).lower()}?"
                reading.doubts.append(f"{place}: {names.visible(key) or 'a name in it'} sets nothing. {hint}")
        leaves = reading.layout.leaves
        if exposure and any(leaves[each.field].holds_secret(each.value) for each in found):
            reading.doubts.append(exposure)
        return found

    def _profiles(self, wanted: tuple[str, str] | None) -> tuple[Path | None, dict[str, Any], str]:
        reading = self.reading
        named, _ = reading.paths(None, names.CONFIG_FILE)
        places = [path for path, _ in named] or files.profile_places()
        for path in places:
            reading.seen[path] = files.signature(path)
        found = next((each for each in places if named or files.exists(each)), None)
        if found is None:
            if wanted:
                looked = ", ".join(str(each) for each in places)
                refusal = Refusal(f"there is no ots.toml; looked at {looked}", "Write one, or leave the profile out.")
                reading.unreadable("profile", refusal, wanted[1])
            return None, {}, ""
        try:
            text, exposure = files.read(found, reading.seen)
            return found, files.profiles(found, text), exposure
        except Refusal as refusal:
            reading.unreadable("profile", refusal, named[0][1] if named else str(found))
            return None, {}, ""


class Derived(Source):
    """What the values found so far imply: endpoint, instance, region and network tell of each other."""

    def read(self) -> list[Found]:
        """Return what follows from the other sources' values, and note where they contradict each other."""
        return agree(self.reading, self.rank)


PRECEDENCE: tuple[type[Source], ...] = (
    Arguments,
    Environment,
    EnvFiles,
    SecretsDirectory,
    Profile,
    Derived,
)
"""The sources, the highest first; after them come the defaults."""


def nest(values: dict[str, Any]) -> dict[str, Any]:
    """Return flat settings as nested ones: ``retry.deadline`` becomes ``{"retry": {"deadline": ...}}``."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        part, _, leaf = name.rpartition(".")
        (nested.setdefault(part, {}) if part else nested)[leaf] = value
    return nested
