"""The settings themselves: typed, validated, frozen, each with the place that its value came from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, PrivateAttr, SerializationInfo, ValidationInfo, field_serializer
from pydantic_core import CoreSchema, core_schema
from pydantic_settings import PydanticBaseSettingsSource, SettingsConfigDict

from ots_config.errors import SettingsError, SettingsProblem, mask
from ots_config.settings import names
from ots_config.settings.build import Provenance, build
from ots_config.settings.context import DEFAULT_ENV_FILE, Context, FileNames, Where
from ots_config.settings.cross_checks import DERIVED
from ots_config.settings.fields import Fields
from ots_config.settings.problems import FILLING, UNKNOWN, refuse_change, report
from ots_config.settings.provenance import DEFAULT, DerivedRegion, Explanation, ProxyURL, layout, mask_url, show
from ots_config.settings.sources import all_sources, explicit_sources

_DERIVABLE = {
    "endpoint": "derived from region, instance and network",
    "instance_name": "derived from endpoint",
    "region": "derived from endpoint",
}


class OTSSettings(Fields):
    """All that a client needs to know, found in many places, validated, and frozen.

    The sources, the highest first: arguments; the environment (``OTS_ENDPOINT``, ``OTS_RETRY__DEADLINE``); env
    files; secrets directories; a profile of ``ots.toml``; what these imply about each other; defaults.

    A subclass may add fields and sources, and set ``env_prefix``, ``env_file`` and ``secrets_dir`` in its
    ``model_config``; with another prefix, ``OTS_ENV_FILE`` and the like have that prefix too.

        >>> settings = OTSSettings.explicit(region="cn-hangzhou", instance_name="demo", network="vpc")
        >>> settings.endpoint
        'https://demo.cn-hangzhou.vpc.tablestore.aliyuncs.com'
        >>> settings.origin("endpoint")
        'derived from region, instance_name and network vpc'

    Args:
        env_file: Env files to read, the last wins; by default what ``OTS_ENV_FILE`` names, else ``.env`` if there
            is one; ``()`` for none.
        secrets_dir: Directories with one file for each setting, the last wins; by default what
            ``OTS_SECRETS_DIR`` names; ``()`` for none.
        profile: The profile of ``ots.toml``; by default what ``OTS_PROFILE`` names, else ``default`` if there is one.
        **arguments: Any of the settings of ``Fields``, which describes them; None counts as not given.

    Raises:
        SettingsError: If they cannot be used; it reports all problems together, and no value of a secret.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=False,
        defer_build=False,
        populate_by_name=True,
        env_prefix="OTS_",
        env_nested_delimiter="__",
        env_file=DEFAULT_ENV_FILE,
    )

    _provenance: Provenance = PrivateAttr()

    def __init__(
        self,
        *,
        env_file: FileNames = None,
        secrets_dir: FileNames = None,
        profile: str | None = None,
        **arguments: Any,
    ) -> None:
        if env_file is None and "_env_file" in arguments:
            env_file = arguments["_env_file"] or ()  # None means no file here, as pydantic-settings has it
        if secrets_dir is None:
            secrets_dir = arguments.get("_secrets_dir")
        where = Where(env_file, secrets_dir, profile or arguments.get("_profile"))
        for underscored in ("_env_file", "_secrets_dir", "_profile"):
            arguments.pop(underscored, None)
        problems, warnings = self._build(Context(type(self), arguments, where), all_sources)
        arguments.clear()
        del where, env_file, secrets_dir, profile
        report(problems, warnings)

    @classmethod
    def explicit(cls, **arguments: Any) -> Self:
        """Build settings from arguments, what they imply, and defaults: no variable and no file is read."""
        settings = cls.__new__(cls)
        problems, warnings = settings._build(Context(cls, arguments, Where()), explicit_sources)  # noqa: SLF001
        arguments.clear()
        report(problems, warnings)
        return settings

    def _build(
        self, context: Context, sources: Callable[[Context], Iterable[PydanticBaseSettingsSource]]
    ) -> tuple[list[SettingsProblem], list[str]]:
        """Fill this new object from the sources, and return what is wrong; no frame of an error holds a value."""
        provenance = build(self, context, sources(context))
        if context.problems:
            object.__setattr__(self, "__dict__", {})  # each value may be valid by itself, but not together
        else:
            self._provenance = provenance
        return context.problems, context.warnings

    # --- what they are --------------------------------------------------------------------------------

    @property
    def signing_region(self) -> str | None:
        """The region that signatures V4 are made for; None if V2 is made.

        ``auto`` means V4 only when the region was given, as in the official SDK; a region that is derived from the
        endpoint does not change it.
        """
        if self.signature == "v2":
            return None
        if self.signature == "auto" and self.origin("region").startswith(DERIVED):
            return None
        return self.region

    def origin(self, field: str) -> str:
        """Return where the value of a setting came from; a nested one is named with dots."""
        known = layout(type(self)).leaves
        if field not in known:
            shown, hint = names.visible(field) or "argument", names.one_of(known, field)
            del field
            raise SettingsError(SettingsProblem(shown, UNKNOWN, "argument", hint))
        return self._provenance.origins.get(field, DEFAULT)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that were looked for, whether they exist or not."""
        return tuple(map(Path, self._provenance.files))

    @property
    def profile(self) -> str | None:
        """The profile of ``ots.toml`` that was chosen by name, None if none was."""
        return self._provenance.profile

    def rebuilt(self) -> Self:
        """Build settings again from the same arguments and sources, as they are now."""
        return type(self)(**self._provenance.where._asdict(), **self._provenance.arguments)

    def explain(self) -> list[Explanation]:
        """Return each setting with its masked value, where it came from, and what it overrode."""
        rows: list[Explanation] = []
        for name in layout(type(self)).leaves:
            value: Any = self
            for step in name.split("."):
                value = getattr(value, step)
            origins, overrode = self._provenance[:2]
            rows.append(Explanation(name, show(name, value), origins.get(name, DEFAULT), overrode.get(name, ())))
        return rows

    def _repr_html_(self) -> str:
        """Return the settings that are not defaults as a table for notebooks, masked as ``explain()`` has them."""
        set_here = [row for row in self.explain() if row.origin != DEFAULT]
        cells = [
            f"<td>{escape(row.field)}</td><td>{escape(row.value)}</td><td>{escape(row.origin)}</td>" for row in set_here
        ]
        head = "<thead><tr><th>setting</th><th>value</th><th>from</th></tr></thead>"
        return f"<table>{head}<tbody>{''.join(f'<tr>{row}</tr>' for row in cells)}</tbody></table>"

    # In Python mode a dump gives equal settings again; in JSON mode it is for showing, with masks.

    @field_serializer("proxies")
    def _dump_proxies(self, value: dict[str, str] | None, info: SerializationInfo) -> dict[str, Any] | None:
        if value is None:
            return None
        kind = ProxyURL if info.mode == "python" else mask_url
        return {scheme: kind(url) for scheme, url in value.items()}

    @field_serializer("region", when_used="unless-none")
    def _dump_region(self, value: str) -> str:
        return DerivedRegion(value) if self.origin("region").startswith(DERIVED) else value

    @field_serializer("access_key_id", when_used="json-unless-none")
    def _dump_access_key_id(self, value: str) -> str:
        return mask(value)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if name == "access_key_id" and value is not None:
                yield name, mask(value)
            else:
                yield name, value

    # --- how they behave ------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            del value
            refuse_change(name)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        refuse_change(name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OTSSettings) or type(self) is not type(other):
            return NotImplemented
        return self.__dict__ == other.__dict__ and self.signing_region == other.signing_region

    def __hash__(self) -> int:
        return hash((type(self), self.endpoint, self.instance_name, self.region, self.access_key_id, self.retry))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of a field of a user's own model; what pydantic itself refuses, it would show."""
        return core_schema.with_info_before_validator_function(cls._as_field, handler(source))

    @classmethod
    def _as_field(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context is FILLING:
            return value
        given = [value]
        del value
        return cls.model_validate(given.pop())

    @classmethod
    def model_validate(cls, obj: Any, **_: Any) -> Self:
        """Build settings from a mapping, as if its items were arguments; settings are returned as they are."""
        if isinstance(obj, cls):
            return obj
        usable = isinstance(obj, Mapping) and all(isinstance(name, str) for name in obj)
        arguments = dict(obj) if usable else {}
        del obj
        try:
            if usable:
                return cls(**arguments)
        finally:
            arguments.clear()
        raise SettingsError(SettingsProblem("argument", "is not a dictionary of settings", "argument", "Give one."))

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **_: Any) -> Self:
        """Build settings from the text of a JSON object, as if its items were arguments."""
        parsed: list[Any] = []
        with suppress(ValueError, RecursionError):
            parsed.append(json.loads(json_data))
        del json_data
        return cls.model_validate(parsed.pop() if parsed else None)

    @classmethod
    def model_validate_strings(cls, obj: Any, **_: Any) -> Self:
        """Build settings from a mapping of texts, as if its items were arguments."""
        given = [obj]
        del obj
        return cls.model_validate(given.pop())


def settings_table() -> str:
    """Return all settings as a Markdown table: name, environment variable, default, meaning."""
    lines = ["| setting | environment variable | default | meaning |", "|---|---|---|---|"]
    known = layout(OTSSettings)
    for leaf in known.leaves.values():
        variables = " or ".join(f"`{name}`" for name, field in known.variables.items() if field == leaf.name)
        default = _DERIVABLE.get(leaf.name) or f"`{show(leaf.name, leaf.default)}`"
        lines.append(f"| `{leaf.name}` | {variables} | {default} | {leaf.meaning} |")
    return "\n".join(lines) + "\n"
