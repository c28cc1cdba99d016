"""Errors that can be made again from their arguments: by pickle, and by result back ends that keep them as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


def revive(cls: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    """Rebuild a pickled error without running its constructor again."""
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class RebuiltFromArguments(Exception):
    """An exception for which ``type(error)(*error.args)`` makes an equal one, also after a way through JSON."""

    _facts: ClassVar[tuple[str, ...]] = ()
    """The attributes that ``args`` carries after the positional arguments, in a dictionary."""

    def _arguments(self) -> tuple[Any, ...]:
        """Return the positional arguments that make this error, without its facts."""
        raise NotImplementedError

    def _set_attributes(self, facts: object) -> None:
        """Set what ``args`` carried; what a back end has turned into text is lost."""
        for name, value in facts.items() if isinstance(facts, Mapping) else ():
            if name == "__notes__" and isinstance(value, list):
                self.__notes__ = [str(note) for note in value]
            elif name in self._facts:
                setattr(self, name, tuple(value) if isinstance(value, list) else value)

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override] # of a call more is known later
        """What makes an equal error of this type, as plain values."""
        own = vars(self)
        facts = {name: own[name] for name in self._facts if name in own and own[name] != getattr(type(self), name)}
        if notes := own.get("__notes__"):
            facts["__notes__"] = list(notes)
        arguments = self._arguments()
        if facts:
            return (*arguments, facts)
        while len(arguments) > 1 and arguments[-1] in (None, ""):
            arguments = arguments[:-1]
        return arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return revive, (type(self), self.args, dict(self.__dict__))
