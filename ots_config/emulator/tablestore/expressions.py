"""Regular expressions of filters: Perl's semantics in bounded time.

Python's engine backtracks, which for some expressions takes exponential time and would stop the whole server. Here an
expression is compiled to a small program that tries alternatives in Perl's order, but never the same point of the
program at the same point of the text twice, as the second time would end like the first. So the steps are at most the
length of the program times that of the text, and a request may take `STEPS` of them. Back-references and look-around
cannot be supported this way and are refused.

google-re2 is not used: its ``$`` does not match before a final line end, it lacks the end of text in capital Z, flag x
and counts above 1000, and it has no wheels for musl.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any

from ots_config.emulator.tablestore.errors import invalid

STEPS = 1_000_000
"""Steps that the expressions of one request may take, a fraction of a second."""
MAX_PROGRAM = 10_000

_parser: Any = import_module("re._parser")  # parses to the tree that Python's own compiler gets

_CHARACTER, _SPLIT, _LOOP, _JUMP, _OPEN, _CLOSE, _AT, _MATCH = range(8)
_KEPT = 128  # characters whose membership a set caches

_DIGITS = frozenset("0123456789")
_SPACES = frozenset(" \t\n\r\f\v")
_WORD = frozenset("0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CATEGORIES = {
    "CATEGORY_DIGIT": (_DIGITS, True),
    "CATEGORY_NOT_DIGIT": (_DIGITS, False),
    "CATEGORY_SPACE": (_SPACES, True),
    "CATEGORY_NOT_SPACE": (_SPACES, False),
    "CATEGORY_WORD": (_WORD, True),
    "CATEGORY_NOT_WORD": (_WORD, False),
}


class ExpressionInvalid(ValueError):
    """A malformed or unsupported expression."""


class _Steps(threading.local):
    """The steps left to the request of this thread."""

    left = STEPS


_steps = _Steps()


def allow_steps() -> None:
    """Allow the next request `STEPS` steps."""
    _steps.left = STEPS


class _Set(dict[str, bool]):
    """The characters that a step accepts, each tested once."""

    def __init__(self, takes: Callable[[str], bool]) -> None:
        super().__init__()
        self._takes = takes

    def __missing__(self, character: str) -> bool:
        taken = self._takes(character)
        if len(self) < _KEPT:
            self[character] = taken
        return taken


class Expression:
    """A compiled expression, made by `compile_expression`.

    Args:
        program: The instructions.
        grouped: Whether there is a group.
    """

    __slots__ = ("_grouped", "_program")

    def __init__(self, program: list[tuple[int, Any, int]], *, grouped: bool) -> None:
        self._program = program
        self._grouped = grouped

    def search(self, text: str) -> str | None:
        """Return the first group of the first match, or the whole match if there is no group.

        Returns:
            The part; None if nothing matches, or the group is not part of the match.

        Raises:
            TablestoreError: If the request has no steps left.
        """
        tried: set[int] = set()
        for start in range(len(text) + 1):
            found = self._match(text, start, tried)
            if found is not None:
                opened, closed, end = found
                if not self._grouped:
                    return text[start:end]
                return None if closed < 0 else text[opened:closed]
        return None

    # One loop with many branches, as a call for each step would cost more than the step.
    def _match(self, text: str, start: int, tried: set[int]) -> tuple[int, int, int] | None:  # noqa: C901, PLR0912
        """Return the begin and end of group 1 and the end of the match that begins here."""
        program, size = self._program, len(text)
        width = size + 1  # a point of the program and a point of the text make one number
        left = _steps.left - 1
        waiting = [(0, start, -1, -1, -1)]
        while waiting:
            at, position, opening, opened, closed = waiting.pop()
            while True:
                left -= 1
                if left < 0:
                    _steps.left = 0
                    raise invalid("The regular expression takes too long.")
                kind, what, other = program[at]
                if kind == _CHARACTER:
                    if position == size or not what[text[position]]:
                        break
                    position += 1
                    at += 1
                elif kind == _SPLIT:
                    if at * width + position in tried:
                        break
                    tried.add(at * width + position)
                    waiting.append((other, position, opening, opened, closed))
                    at = what
                elif kind == _LOOP:
                    if at * width + position not in tried:
                        tried.add(at * width + position)
                        waiting.append((other, position, opening, opened, closed))
                        at = what
                    elif other * width + position not in tried:
                        # The iteration before matched nothing, at which Perl leaves the loop.
                        tried.add(other * width + position)
                        at = other
                    else:
                        break
                elif kind == _JUMP:
                    at = what
                elif kind == _OPEN:
                    opening = position
                    at += 1
                elif kind == _CLOSE:
                    opened, closed = opening, position
                    at += 1
                elif kind == _AT:
                    if not what(text, position):
                        break
                    at += 1
                else:
                    _steps.left = left
                    return opened, closed, position
        _steps.left = left
        return None


@lru_cache(maxsize=64)
def compile_expression(pattern: str) -> Expression:
    """Compile an expression.

    Raises:
        ExpressionInvalid: If it is malformed, or uses look-around or back-references.
    """
    try:
        with warnings.catch_warnings():  # Python warns of expressions whose meaning may change
            warnings.simplefilter("ignore")
            tree = _parser.parse(pattern, re.ASCII)
        compiler = _Compiler()
        compiler.sequence(tree, tree.state.flags)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise ExpressionInvalid(str(error)) from None
    compiler.emit(_MATCH)
    return Expression(compiler.program, grouped=tree.state.groups > 1)


class _Compiler:
    """Compiles the tree of an expression to a program."""

    def __init__(self) -> None:
        self.program: list[tuple[int, Any, int]] = []
        self._sets: dict[tuple[str, str, int], _Set] = {}  # one for all repetitions of a class, as it may grow

    def emit(self, kind: int, what: Any = None, other: int = 0) -> int:
        """Add an instruction and return its position."""
        if len(self.program) >= MAX_PROGRAM:
            raise ExpressionInvalid("too large")
        self.program.append((kind, what, other))
        return len(self.program) - 1

    def sequence(self, items: Iterable[tuple[Any, Any]], flags: int) -> None:
        """Add the instructions for a sequence of items."""
        for operation, argument in items:
            name = str(operation)
            if name in _CLASSES:
                key = name, str(argument), flags
                if key not in self._sets:
                    self._sets[key] = _Set(_takes(name, argument, flags))
                self.emit(_CHARACTER, self._sets[key])
            elif name == "AT":
                self.emit(_AT, _place(str(argument), flags))
            elif name == "SUBPATTERN":
                self._group(argument, flags)
            elif name == "BRANCH":
                self._branches(argument[1], flags)
            elif name in {"MAX_REPEAT", "MIN_REPEAT"}:
                self._repeat(argument, flags, greedy=name == "MAX_REPEAT")
            else:
                raise ExpressionInvalid(f"{name.lower()} is not supported")

    def _group(self, argument: Any, flags: int) -> None:
        number, added, removed, items = argument
        if number == 1:
            self.emit(_OPEN)
        self.sequence(items, (flags | added) & ~removed)
        if number == 1:
            self.emit(_CLOSE)

    def _branches(self, branches: list[Any], flags: int) -> None:
        ends = []
        for branch in branches[:-1]:
            split = self.emit(_SPLIT)
            self.sequence(branch, flags)
            ends.append(self.emit(_JUMP))
            self.program[split] = (_SPLIT, split + 1, len(self.program))
        self.sequence(branches[-1], flags)
        for end in ends:
            self.program[end] = (_JUMP, len(self.program), 0)

    def _repeat(self, argument: Any, flags: int, *, greedy: bool) -> None:
        least, most, items = argument
        for _ in range(least):
            self._once(items, flags)
        endless = most == _parser.MAXREPEAT
        splits = []
        for _ in range(1 if endless else most - least):
            splits.append(self.emit(_SPLIT))
            self._once(items, flags)
        if endless:
            self.emit(_JUMP, splits[0])
            after = self.emit(_JUMP, len(self.program) + 1)  # a place of its own to mark the end of this loop
        else:
            after = len(self.program)
        branching = _LOOP if endless else _SPLIT
        for split in splits:
            self.program[split] = (branching, split + 1, after) if greedy else (_SPLIT, after, split + 1)

    def _once(self, items: Any, flags: int) -> None:
        before = len(self.program)
        self.sequence(items, flags)
        if len(self.program) == before:
            self.emit(_JUMP, before + 1)  # bounds also the repetitions of nothing


_CLASSES = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN"})


def _takes(name: str, argument: Any, flags: int) -> Callable[[str], bool]:
    """Return a test for the characters that one step accepts."""
    if name == "ANY":
        return (lambda _: True) if flags & re.DOTALL else (lambda character: character != "\n")
    items = argument if name == "IN" else [(name.removeprefix("NOT_"), argument)]
    negated = name == "NOT_LITERAL" or str(items[0][0]) == "NEGATE"
    members = [_member(str(kind), value) for kind, value in items if str(kind) != "NEGATE"]
    folds = bool(flags & re.IGNORECASE)

    def takes(character: str) -> bool:
        forms = {character, character.lower(), character.upper()} if folds and character.isascii() else {character}
        return any(member(form) for form in forms for member in members) is not negated

    return takes


def _member(kind: str, value: Any) -> Callable[[str], bool]:
    if kind == "LITERAL":
        return lambda character: ord(character) == value
    if kind == "RANGE":
        low, high = value
        return lambda character: low <= ord(character) <= high
    characters, inside = _CATEGORIES[str(value)]
    return lambda character: (character in characters) is inside


def _place(name: str, flags: int) -> Callable[[str, int], bool]:
    """Return a test for positions: begin or end of a line or of the text, or a word boundary."""
    if name == "AT_BEGINNING" and flags & re.MULTILINE:
        return lambda text, position: position == 0 or text[position - 1] == "\n"
    if name in {"AT_BEGINNING", "AT_BEGINNING_STRING"}:
        return lambda _, position: position == 0
    if name == "AT_END" and flags & re.MULTILINE:
        return lambda text, position: position == len(text) or text[position] == "\n"
    if name == "AT_END":
        return lambda text, position: position == len(text) or (position == len(text) - 1 and text[position] == "\n")
    if name == "AT_END_STRING":
        return lambda text, position: position == len(text)
    inside = name == "AT_BOUNDARY"
    return lambda text, position: (_in_word(text, position - 1) is not _in_word(text, position)) is inside


def _in_word(text: str, position: int) -> bool:
    return 0 <= position < len(text) and text[position] in _WORD
