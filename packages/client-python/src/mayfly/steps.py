"""What a task's work is made of, apart from how it is done.

Each operation is written once, as a generator of steps (:mod:`mayfly.flows`); one small driver
runs it on threads (:mod:`mayfly.drive`) and another on asyncio (:mod:`mayfly.drive_async`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from .errors import MayflyError, Problem, problem_of
from .identity import PROOF_SECONDS_MAX
from .proof_key import ProofKey
from .secret import Secret


@dataclass(frozen=True)
class Send:
    """An HTTP request. The driver answers an :class:`Answer`, or throws ``Unreachable``."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: str = field(default="", repr=False)
    seconds_max: float = 30.0
    key: ProofKey | None = None
    """Proves the request, anew for each attempt."""
    token: Secret | None = None
    """What its Authorization holds, where the proof has to be of that too."""


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Prove:
    """A fresh token of identity. The driver answers a :class:`Secret`, or throws ``NoIdentity``."""

    seconds_max: float


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: object = field(repr=False)
    """Parsed JSON, or None. Never shown: it may hold a secret."""

    def problem(self) -> Problem:
        return problem_of(self.status, self.headers, self.body)


Step: TypeAlias = Send | Pause | Prove
Given: TypeAlias = Answer | Secret | None
T = TypeVar("T")
Flow: TypeAlias = Generator[Step, Given, T]


def send(step: Send) -> Flow[Answer]:
    answer = yield from _sent(step)
    if step.key is None or answer.status not in (400, 401):
        return answer
    if answer.problem().code not in ("use_dpop_nonce", "invalid_dpop_proof"):
        return answer
    # Nothing was done for it, and the answer had a nonce or the broker's time, which the driver
    # has heeded: a first proof is made by this machine's clock, which may be wrong.
    return (yield from _sent(step))


def _sent(step: Send) -> Flow[Answer]:
    given = yield step
    if isinstance(given, Answer):
        return given
    raise _wrong_driver()


def prove(seconds_max: float = PROOF_SECONDS_MAX) -> Flow[Secret]:
    given = yield Prove(seconds_max)
    if isinstance(given, Secret):
        return given
    raise _wrong_driver()


def pause(seconds: float) -> Flow[None]:
    yield Pause(seconds)


def _wrong_driver() -> MayflyError:
    return MayflyError(Problem(code="internal", message="A step was given what it did not ask."))
