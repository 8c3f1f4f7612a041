"""What the task of threads and the one of asyncio have in common."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from .credential import Credential
from .ending import Verb
from .errors import MayflyError, Problem, TaskLost
from .secret import Secret
from .state import TaskState

IDLE_TIMEOUT = "60s"
"""How long the task outlives a process that was killed."""
OPEN_SECONDS_MAX = 60.0
"""Of opening or drawing, all retries included."""
END_WAIT_SECONDS = 5.0

PersonToken: TypeAlias = str | Secret
C = TypeVar("C", bound=Credential)


@dataclass(frozen=True)
class Ending:
    verb: Verb
    reason: str | None
    wait_seconds: float

    @staticmethod
    def of(error: BaseException | None, end_wait_seconds: float, report_error_text: bool) -> Ending:
        """How a block that was left so ends its task. What is interrupted waits for nothing."""
        if error is None:
            return Ending("complete", None, end_wait_seconds)
        # An exception's text may hold data, or a secret: its class alone goes on record.
        reason = f"{type(error).__name__}: {error}" if report_error_text else type(error).__name__
        interrupted = not isinstance(error, Exception) or isinstance(error, asyncio.CancelledError)
        return (
            Ending("cancel", reason, 0) if interrupted else Ending("fail", reason, end_wait_seconds)
        )


def held(state: TaskState, role: str, kind: type[C]) -> C:
    state.require_usable()
    # Copied at once: other threads draw meanwhile.
    credentials = tuple(state.credentials.values())
    for credential in reversed(credentials):
        if credential.role == role:
            return as_kind(credential, kind)
    roles = sorted({credential.role for credential in credentials})
    raise MayflyError(
        Problem(
            code="no_credential",
            message=f"{state.id} holds no credential of {role}; it holds "
            f"{', '.join(roles) or 'none'}.",
            where="role",
            hint="Name the role in credentials=, or draw it if it was declared for later.",
        )
    )


def as_kind(credential: Credential, kind: type[C]) -> C:
    if isinstance(credential, kind):
        return credential
    raise MayflyError(
        Problem(
            code="no_credential",
            message=f"The credential of {credential.role} is of kind {credential.kind}, "
            f"a {type(credential).__name__}, not a {kind.__name__}.",
            where="kind",
            hint=f"Pass mayfly.{type(credential).__name__} as the kind.",
        )
    )


def no_heartbeats(task: str) -> TaskLost:
    """A defect, here or in a source of one's own: better a lost task than one that idles out."""
    return TaskLost(
        Problem(
            code="task_lost",
            message=f"The heartbeats of {task} have stopped by a failure of this client.",
            hint="Stop: the idle timeout ends the task. Report the traceback.",
        )
    )


def person_secret(token: PersonToken | None) -> Secret | None:
    return Secret(token) if isinstance(token, str) else token


def raise_loss(state: TaskState, error: BaseException | None) -> None:
    """After the end: a task that was over before is no success. The block's own exception is never
    replaced; it gets a note, from Python 3.11."""
    lost = state.lost
    if lost is None and state.ended is not None and state.ended.state != state.asked_end:
        lost = TaskLost(
            Problem(
                code="task_ended",
                message=f"{state.id} was {state.ended.state} before its block was left.",
                hint="Its credentials were dead by then: look at what was done in the meantime.",
            )
        )
    if lost is None or error is lost:
        return
    if error is None:
        raise lost
    if hasattr(error, "add_note"):
        error.add_note(f"mayfly: {lost}")
