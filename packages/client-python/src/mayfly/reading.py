"""Reads the broker's answers: what is missing or of another type is named, values are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from .errors import MayflyError, Problem


class Members:
    """The members of one JSON object, with where it stands for messages."""

    def __init__(self, value: object, where: str = "answer") -> None:
        if not isinstance(value, Mapping):
            raise _unreadable(where, "an object")
        self._value: Mapping[str, object] = value
        self._where = where

    def names(self) -> list[str]:
        return list(self._value)

    def text(self, name: str) -> str:
        value = self._value.get(name)
        if not isinstance(value, str):
            raise self._missing(name, "a text")
        return value

    def text_or_none(self, name: str) -> str | None:
        return None if self._value.get(name) is None else self.text(name)

    def as_text(self, name: str) -> str:
        """A text as it stands, anything else as JSON."""
        value = self._value.get(name)
        return value if isinstance(value, str) else json.dumps(value)

    def number(self, name: str) -> int:
        value = self._value.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._missing(name, "a whole number")
        return value

    def instant(self, name: str) -> datetime:
        try:
            # Python 3.10 does not know the Z of RFC 3339.
            return datetime.fromisoformat(self.text(name).replace("Z", "+00:00"))
        except ValueError:
            raise self._missing(name, "an instant") from None

    def lists(self, name: str, text: str) -> bool:
        """Whether there is a list of that name, and the text in it."""
        value = self._value.get(name)
        return isinstance(value, list) and text in value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._value.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self._missing(name, "a list of texts")
        return tuple(value)

    def inner(self, name: str) -> Members:
        return Members(self._value.get(name), f"{self._where}.{name}")

    def each(self, name: str) -> list[Members]:
        value = self._value.get(name)
        if not isinstance(value, list):
            raise self._missing(name, "a list")
        return [Members(one, f"{self._where}.{name}[{i}]") for i, one in enumerate(value)]

    def _missing(self, name: str, expected: str) -> MayflyError:
        return _unreadable(f"{self._where}.{name}", expected)


def _unreadable(where: str, expected: str) -> MayflyError:
    return MayflyError(
        Problem(
            code="bad_answer",
            message=f"The broker's answer is not as expected: {where} is not {expected}.",
            where=where,
            hint="Check MAYFLY_URL; if it is right, this client and the broker are of versions "
            "that do not understand each other.",
        )
    )
