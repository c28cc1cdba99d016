"""From what the sources found to a whole model: merged, validated, every problem reported together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretStr
from pydantic_settings import PydanticBaseSettingsSource

from ots_config.errors import SettingsProblem
from ots_config.settings import discovered
from ots_config.settings.context import Context, Source, Where
from ots_config.settings.fields import Part
from ots_config.settings.problems import Problem, fill
from ots_config.settings.provenance import NOT_FOUND, FoundValue, Layout, Origin, nest, show_overridden

_DERIVABLE = ("endpoint", "instance_name")
"""Settings whose absence the cross-checks explain better than pydantic does."""


_FREE_TEXTS = ("credentials_process", "role_policy")
"""Settings whose texts may begin with a quote, or contain what looks like a variable."""

_REFERENCE = re.compile(r"\$\{\w{1,60}\}|(?<!\S)\$[A-Z_][A-Z0-9_]{0,60}(?!\S)|%[A-Z_][A-Z0-9_]{0,60}%")


class Provenance(NamedTuple):
    """Where the values of a settings object came from, and what to build it from again; it shows nothing.

    Attributes:
        origins: The origin of each value that is not a default.
        overrode: Origin and masked value of each value that was overridden, by field.
        arguments: The caller's arguments, secrets wrapped.
        where: Which files the caller named.
        files: Every file that was looked for.
        profile: The profile that was chosen by name.
    """

    origins: dict[str, str]
    overrode: dict[str, tuple[tuple[str, str], ...]]
    arguments: dict[str, Any]
    where: Where
    files: tuple[str, ...]
    profile: str | None


def build(model: BaseModel, context: Context, sources: Iterable[PydanticBaseSettingsSource]) -> Provenance:
    """Read the sources in their order and give a new settings model the strongest of each value.

    Args:
        model: A model without values; if there are problems, its values are of no use.
        context: What the sources share; gains the problems, in the order of the fields.
        sources: The sources, the highest first.
    """
    provenance, layout, problems = context.provenance, context.layout, context.problems
    for source in sources:
        for found in source.read() if isinstance(source, Source) else _foreign(source, context):
            if not (found.origin.discovered and discovered.refuse(context, found)):
                provenance.setdefault(found.field, []).append(found)
    winners = {name: found[0] for name, found in provenance.items() if found[0].origin != NOT_FOUND}
    wrong = _fill(model, nest({name: found.value for name, found in winners.items()}), layout)
    slips = [Problem(name, *slip) for name, found in winners.items() if (slip := _slip(found, layout))]
    if slips:  # these are why the value is refused, if it is
        written = {slip.field for slip in slips}
        wrong = slips + [problem for problem in wrong if problem.field not in written]
    # What is missing comes last: another problem is its cause then, and is reported instead.
    for name, reason, hint in sorted(wrong, key=lambda each: each.field in _DERIVABLE and each.field not in winners):
        if name in winners:
            problems.append(SettingsProblem(name, reason, winners[name].origin.text, hint))
        elif name not in _DERIVABLE or not problems:
            cause = context.hint(f"{hint[:-1]} ({layout.names.get(name)}).", name)
            problems.append(SettingsProblem(name, reason, "no source", cause))
    order = {name: place for place, name in enumerate((*layout.leaves, *layout.parts))} if problems else {}
    problems.sort(key=lambda problem: order.get(problem.field, len(order)))
    return Provenance(
        {name: found.origin.text for name, found in winners.items()},
        {
            name: tuple((each.origin.text, show_overridden(layout.leaves[name], each.value)) for each in found[1:])
            for name, found in provenance.items()
            if len(found) > 1
        },
        {name: layout.wrap(name, value) for name, value in context.arguments.items()},
        context.where,
        tuple(dict.fromkeys(context.files)),
        context.profile[0] if context.profile else None,
    )


def _slip(found: FoundValue, layout: Layout) -> tuple[str, str] | None:
    """Return reason and hint of a text that was meant for a shell, which would have changed it; None for others."""
    text = found.value.get_secret_value() if isinstance(found.value, SecretStr) else found.value
    if not isinstance(text, str) or found.field in _FREE_TEXTS:
        return None
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return "is in quotes, which are taken as part of it", "Remove the quotes: docker's --env-file keeps them."
    # A secret may contain anything, but it is hardly a reference as a whole.
    find = _REFERENCE.fullmatch if layout.leaves[found.field].secret else _REFERENCE.search
    if ("$" in text or "%" in text) and find(text):
        return "contains a variable that was not expanded", "Write its value: nothing here expands ${NAME}."
    return None


def _fill(model: BaseModel, values: dict[str, Any], layout: Layout) -> list[Problem]:
    """Give a new model its values, or return what is wrong with them."""
    problems: list[Problem] = []
    for name in [name for name in values if name in layout.parts]:
        kind = layout.parts[name]
        if issubclass(kind, Part):  # its constructor would raise a SettingsError of its own
            part = kind.__new__(kind)
            wrong = fill(part, values.pop(name), kind.model_fields)
            problems += [problem._replace(field=f"{name}.{problem.field}") for problem in wrong]
            if not wrong:
                values[name] = part
    return problems + fill(model, values, (*layout.leaves, *layout.parts))


def _foreign(source: PydanticBaseSettingsSource, context: Context) -> list[FoundValue]:
    """Return what a source gives that is not one of ours."""
    found_before = nest({name: each[0].value for name, each in context.provenance.items()})
    source._set_current_state(found_before)  # noqa: SLF001 - it is BaseSettings that calls it otherwise
    layout, origin = context.layout, Origin(type(source).__name__, f"source {id(source)}")
    found: list[FoundValue] = []
    for key, value in source().items():
        name = layout.field(key)
        if name in layout.leaves or name in layout.parts:
            found += context.spread(name, value, lambda _: origin)
    return found
