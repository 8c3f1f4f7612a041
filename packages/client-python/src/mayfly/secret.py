"""A text that shows itself to nobody who did not ask for it by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, SupportsIndex

_SHOWN = "[secret]"


class Secret:
    """Shows as ``[secret]`` in every form but :meth:`expose`.

    It is no ``str``, so that a type checker and the library that it is handed to both notice a
    forgotten ``expose()``. It is never written by ``json`` (which refuses it; with ``default=str``
    it writes ``[secret]``) and refuses to be pickled. Copies are the object itself.
    """

    __slots__ = ("_read",)
    _read: Callable[[], str]

    def __init__(self, value: str) -> None:
        # In a closure and not in a slot: what walks over an object's members finds a function.
        self._read = lambda: value

    def expose(self) -> str:
        """The text itself. Hand it to the driver at once, and keep it nowhere."""
        return self._read()

    def __repr__(self) -> str:
        return _SHOWN

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(_SHOWN, format_spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __getstate__(self) -> NoReturn:
        raise TypeError(_REFUSED)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(_REFUSED)


_REFUSED = (
    "a Mayfly secret is not pickled: it would be at rest in the clear; open a task where the "
    "credential is used, or draw it there"
)
