"""From what the sources found to a whole model: merged, checked, every fault told at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_settings import PydanticBaseSettingsSource

from ots_config.errors import SettingsProblem
from ots_config.settings.ledger import DEFAULT, Found, show_loser
from ots_config.settings.names import variable
from ots_config.settings.problems import Refusal
from ots_config.settings.reading import Reading
from ots_config.settings.sources import Source, nest

_NEEDED = ("endpoint", "instance_name")
"""Settings whose absence the derivation explains better than their check could."""


class Problem(NamedTuple):
    """What is wrong with one field of a model."""

    name: str
    reason: str
    hint: str


class Built(NamedTuple):
    """What a build leaves besides the values.

    Attributes:
        problems: What is wrong, in the order of the fields; if there is any, the model holds nothing.
        origins: Where each value came from that is not a default.
        overrode: Origin and masked value of each value that lost, by field.
    """

    problems: list[SettingsProblem]
    origins: dict[str, str]
    overrode: dict[str, tuple[tuple[str, str], ...]]


def fill(model: BaseModel, values: dict[str, Any]) -> list[Problem]:
    """Give a new model its values, or say what is wrong with them.

    pydantic's own error holds every value that it was given, secrets too, so it does not leave this function.
    """
    try:
        BaseModel.__init__(model, **values)
    except ValidationError as error:
        return [_problem(type(model), each) for each in error.errors(include_url=False, include_input=False)]
    return []


def _problem(model: type[BaseModel], error: Any) -> Problem:
    name = ".".join(str(step) for step in error["loc"][:1])
    refusal = error.get("ctx", {}).get("error")
    if isinstance(refusal, Refusal):
        return Problem(name, refusal.reason, refusal.hint)
    if error["type"] == "missing":
        return Problem(name, "it is not set", "Set it.")
    if name not in model.model_fields:
        return Problem("argument", "there is no such setting", f"Choose one of {', '.join(model.model_fields)}.")
    return Problem(name, f"it is refused ({error['type']})", "Give a value of the setting's type.")


def build(model: BaseModel, reading: Reading, sources: Iterable[PydanticBaseSettingsSource]) -> Built:
    """Read the sources in their order and give a new settings model the strongest of each value."""
    for rank, source in enumerate(sources):
        for found in source.read() if isinstance(source, Source) else _foreign(source, reading, rank):
            reading.ledger.setdefault(found.field, []).append(found)
    shape, faults = reading.layout, reading.problems
    winners = {name: found[0] for name, found in reading.ledger.items()}
    values = nest({name: found.value for name, found in winners.items() if found.origin != DEFAULT})
    problems: list[Problem] = []
    for name in shape.parts.keys() & values.keys():
        part = shape.parts[name].__new__(shape.parts[name])
        wrong = fill(part, values.pop(name))
        problems += [problem._replace(name=f"{name}.{problem.name}") for problem in wrong]
        if not wrong:
            values[name] = part
    problems += fill(model, values)
    # Those that are missing come last: another fault is then their cause, and is told instead.
    for name, reason, hint in sorted(
        problems, key=lambda problem: problem.name in _NEEDED and problem.name not in winners
    ):
        if name in _NEEDED and name not in winners and faults:
            continue
        origin = winners[name].origin if name in winners else "no source"
        faults.append(
            SettingsProblem(name, reason, origin, hint if name in winners else f"{hint[:-1]} ({variable(name)}).")
        )
    order = {name: place for place, name in enumerate((*shape.leaves, *shape.parts))}
    faults.sort(key=lambda fault: order.get(fault.field, len(order)))
    origins = {name: found.origin for name, found in winners.items() if found.origin != DEFAULT}
    overrode = {
        name: tuple((loser.origin, show_loser(shape.leaves[name], loser.value)) for loser in found[1:])
        for name, found in reading.ledger.items()
        if len(found) > 1
    }
    return Built(faults, origins, overrode)


def _foreign(source: PydanticBaseSettingsSource, reading: Reading, rank: int) -> list[Found]:
    """Return what a source of somebody else's gives."""
    origin = type(source).__name__
    shape = reading.layout
    found: list[Found] = []
    for name, value in source().items():
        if name in shape.leaves or name in shape.parts:
            found += reading.spread(name, value, origin, rank)
    return found
