"""What this process knows of one task."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from .broker import Broker
from .credential import Credential
from .errors import MayflyError, Problem, TaskLost
from .proof_key import ProofKey
from .secret import Secret


@dataclass(frozen=True)
class HeldToken:
    """A task token. It says which task this is, never that the task lives."""

    secret: Secret
    until: float
    """Monotonic seconds; reckoned from before the request, so that it is early and never late."""
    proven_life: float
    """How long it lived when identity was last proven: each beat without proof shortens it."""

    def lives(self) -> bool:
        return time.monotonic() < self.until

    def wants_proof(self) -> bool:
        """Half of what proof is worth is gone: time enough to try again, should it fail."""
        return self.until - time.monotonic() < self.proven_life / 2


@dataclass(frozen=True)
class EndedLease:
    lease: str
    role: str | None
    state: str
    outcome: str | None
    """``revoked``, ``expired``, ``absent``, ``abandoned``; None: it has not ended yet."""
    exposure: str
    """``none``, or until when, or ``unknown``, and why: what could still be done with it."""


@dataclass(frozen=True)
class EndedTask:
    """The broker's answer to an end, as true as it knew it then."""

    state: str
    leases: tuple[EndedLease, ...]

    @property
    def is_revoked(self) -> bool:
        """Whether nothing can be done with any credential of the task or of its child tasks."""
        return all(lease.exposure == "none" for lease in self.leases)


@dataclass
class TaskState:
    """Written by the task's own thread and by its heartbeat: each member is replaced whole."""

    broker: Broker
    id: str
    deadline: datetime
    idle_timeout_seconds: int
    token: HeldToken
    credentials: dict[str, Credential]
    """By lease, oldest first."""
    key: ProofKey | None = None
    """What its tokens are bound to; None: they are a bearer's."""
    last_accepted: float = field(default_factory=time.monotonic)
    """When the broker last said that the task lives (monotonic)."""
    process: int = field(default_factory=os.getpid)
    ended: EndedTask | None = None
    asked_end: str | None = None
    """The state that this program itself asked for, first of all."""
    is_ending: bool = False
    """An end is under way: what heartbeats hear meanwhile is about a task whose work is done."""
    is_left: bool = False
    """Its block was left. Only the end itself may still say anything."""
    lost: TaskLost | None = None
    on_lost: list[Callable[[], None]] = field(default_factory=list)
    _losing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def is_here(self) -> bool:
        """False in a forked child: the task is its parent's."""
        return self.process == os.getpid()

    def lose(self, why: TaskLost) -> None:
        with self._losing:
            if self.lost is not None or self.ended is not None:
                return
            if self.is_left or self.is_ending:
                # The work is done, and an end on its way. What a heartbeat hears, or that it hears
                # nothing, takes no result back; whose end it was, the end's answer says.
                return
            if self.asked_end is not None and why.code == "task_ended":
                # An end whose answer was lost: it may well be our own.
                return
            self.lost = why
        for tell in self.on_lost:
            tell()

    def require_here(self) -> None:
        """Raises in a forked child: neither the task nor the connection is its own."""
        if not self.is_here():
            raise MayflyError(
                Problem(
                    code="forked",
                    message=f"{self.id} belongs to the process that opened it.",
                    hint="Open a task in this process, or let the parent draw for it.",
                )
            )

    def require_usable(self) -> None:
        """Raises where nothing may be asked for the task any more."""
        self.require_here()
        if self.lost is not None:
            raise TaskLost(self.lost.problem)
        if self.ended is not None:
            raise TaskLost(Problem(code="task_ended", message=f"{self.id} is {self.ended.state}."))
