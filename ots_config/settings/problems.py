"""What is wrong with a value, as a reason and a hint that never repeat it; warnings; pydantic's errors in our words."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn
from warnings import warn

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ots_config.errors import SettingsError, SettingsProblem
from ots_config.settings.names import nearest, one_of, visible

_NOT_CALLERS = {__name__.partition(".")[0], "pydantic", "pydantic_settings", "functools"}
"""Packages whose lines no warning points at."""

UNKNOWN = "is not a known setting"


class Refusal(ValueError):
    """A value that cannot be used.

    Attributes:
        reason: What is wrong, without the value.
        hint: How to fix it.
    """

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class SettingsWarning(UserWarning):
    """Something about the settings is probably wrong, but they can be used; it points at the line that built them.

    >>> import warnings
    >>> warnings.simplefilter("error", SettingsWarning)  # in a test or in CI: a warning ends the program
    >>> warnings.simplefilter("default", SettingsWarning)
    """


class Problem(NamedTuple):
    """What is wrong with one field of a model, before its origin is known."""

    field: str
    reason: str
    hint: str


REASONS: Mapping[str, tuple[str, str]] = {
    "missing": ("is not set", "Set it."),
    "bool_type": ("is neither true nor false", "Write true or false."),
    "bool_parsing": ("is neither true nor false", "Write true or false."),
    "int_type": ("is not a whole number", "Give a whole number."),
    "int_parsing": ("is not a whole number", "Give a whole number."),
    "int_from_float": ("is not a whole number", "Give a whole number."),
    "float_type": ("is not a number", "Give a number."),
    "float_parsing": ("is not a number", "Give a number."),
    "finite_number": ("is not a finite number", "Give a finite number."),
    "greater_than": ("is not greater than {gt:.7g}", "Give a number greater than {gt:.7g}."),
    "greater_than_equal": ("is less than {ge:.7g}", "Give a number of at least {ge:.7g}."),
    "less_than": ("is not less than {lt:.7g}", "Give a number less than {lt:.7g}."),
    "less_than_equal": ("is greater than {le:.7g}", "Give a number of at most {le:.7g}."),
    "literal_error": ("is not one of {choices}", "Choose one of {choices}."),
    "enum": ("is not one of {choices}", "Choose one of {choices}."),
    "string_unicode": ("contains characters that are not valid Unicode", "Write it again."),
    "string_type": ("is not text", "Give text."),
    "string_too_short": ("is too short", "Give at least {min_length} characters."),
    "string_too_long": ("is too long", "Give at most {max_length} characters."),
    "dict_type": ("is not a dictionary", "Give a dictionary, or a JSON object in a variable."),
    "list_type": ("is not a list", "Give a list, or a JSON array in a variable."),
}
"""The reason and the hint for each type of pydantic's errors that a setting can have; ``{name}`` is of its context."""

_OTHERWISE = ("is not valid ({type})", "Give a value of the setting's type.")


def explain(error: ValidationError, known: Collection[str] = ()) -> list[Problem]:
    """Return what is wrong in our words, once for each field: pydantic's own messages show the values, secrets too.

    Args:
        error: pydantic's error; it must not leave the caller.
        known: The names of the settings, nested with dots; empty for a single value.
    """
    problems: dict[str, Problem] = {}
    for each in error.errors(include_url=False):
        steps = [str(step) for step in each["loc"]]
        field = ".".join(steps[:1])
        for end in range(2, len(steps) + 1):  # the steps below a setting name members of a union
            field = longer if (longer := ".".join(steps[:end])) in known else field
        problems.setdefault(field, _explained(each, field, known))
    return list(problems.values())


def _explained(error: ErrorDetails, field: str, known: Collection[str]) -> Problem:
    context: dict[str, Any] = dict(error.get("ctx", {}))
    refusal = context.get("error")
    if isinstance(refusal, Refusal):
        return Problem(field, refusal.reason, refusal.hint)
    if error["type"] == "extra_forbidden":
        return Problem(visible(field) or "argument", UNKNOWN, one_of(known, field))
    choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    context |= {"type": error["type"], "choices": ", ".join(choices)}
    reason, hint = (text.format_map(context) for text in REASONS.get(error["type"], _OTHERWISE))
    near = nearest(error["input"], choices) if isinstance(error["input"], str) else ""
    return Problem(field, reason, f"Did you mean {near}?" if near else hint)


FILLING = object()
"""pydantic's context while a model of ours gets values that the sources found, not those of a user's own model."""


def fill(model: BaseModel, values: dict[str, Any], known: Collection[str]) -> list[Problem]:
    """Give a new model its values, or return what is wrong with them."""
    try:
        model.__pydantic_validator__.validate_python(values, self_instance=model, context=FILLING)
    except ValidationError as error:
        return explain(error, known)
    return []


def refuse_change(name: str) -> NoReturn:
    """Refuse to change a setting; pydantic's own error would show the new value."""
    raise SettingsError(SettingsProblem(name, "cannot be changed", "argument", "Build new settings."))


def report(problems: Collection[SettingsProblem], warnings: Iterable[str]) -> None:
    """Raise the problems, or else issue each warning so that it points at the caller's own line.

    Raises:
        SettingsError: If there are problems.
    """
    if problems:
        raise SettingsError(*problems)
    level, frame = 1, sys._getframe(0)  # noqa: SLF001 - as `warnings` itself finds its caller
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in _NOT_CALLERS:
        level, frame = level + 1, frame.f_back
    del frame
    for message in warnings:
        warn(message, SettingsWarning, stacklevel=level)
