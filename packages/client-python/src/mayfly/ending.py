"""Ending a task: the one thing that is tried by every means there is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal, TypeAlias

from .descriptor import details_json
from .errors import MayflyError, NoIdentity, Unavailable, raise_for
from .exchange import call, exchange, form, held
from .reading import Members
from .secret import Secret
from .state import EndedLease, EndedTask, TaskState
from .steps import Answer, Flow, pause, prove, send

Verb: TypeAlias = Literal["complete", "fail", "cancel"]

_STATE_AFTER = {"complete": "completed", "fail": "failed", "cancel": "cancelled"}
_ATTEMPTS_MAX = 4
_MARGIN_SECONDS = 10.0


def end_task(
    state: TaskState,
    verb: Verb,
    reason: str | None,
    wait_seconds: float,
    hurry_seconds: float | None = None,
) -> Flow[EndedTask]:
    """Repeatable: the broker ends a task once. ``wait_seconds`` is how long it may look until the
    credentials are refused. Raises when no answer came in that time and ten seconds more (or in
    ``hurry_seconds``); the idle timeout ends the task then."""
    state.require_here()
    if state.asked_end is None:
        state.asked_end = _STATE_AFTER[verb]
    seconds_max = wait_seconds + _MARGIN_SECONDS if hurry_seconds is None else hurry_seconds
    state.is_ending = True
    try:
        return (yield from _tried(state, verb, reason, wait_seconds, seconds_max))
    finally:
        state.is_ending = False


def _tried(
    state: TaskState, verb: Verb, reason: str | None, wait_seconds: float, seconds_max: float
) -> Flow[EndedTask]:
    until = time.monotonic() + seconds_max
    body: dict[str, object] = {"wait": min(60, int(wait_seconds))}
    if reason is not None:
        body["reason"] = reason
    for attempt in range(_ATTEMPTS_MAX):
        left = max(min(1.0, seconds_max), until - time.monotonic())
        error: MayflyError
        try:
            answer = yield from _end(state, verb, body, left)
            if answer.status == 200:
                return _ended(state, answer)
            error = raise_for(answer.problem())
        except Unavailable as unavailable:
            error = unavailable
        wait = error.retry_after or 0.2 * 2**attempt
        is_last = attempt == _ATTEMPTS_MAX - 1 or time.monotonic() + wait >= until
        if is_last or not isinstance(error, Unavailable):
            raise error
        yield from pause(wait)
    raise AssertionError("the last attempt returns or raises")


def _end(
    state: TaskState, verb: Verb, body: Mapping[str, object], seconds_max: float
) -> Flow[Answer]:
    """By the task token; then by the identity itself; then by a token that it is exchanged for,
    since one that counts once counts only there."""
    path = f"/v1/tasks/{state.id}/{verb}"
    answer = yield from send(call(state, state.token.secret, path, body, seconds_max))
    if answer.status != 401:
        return answer
    try:
        proof = yield from prove()
    except NoIdentity:
        return answer
    by_identity = yield from send(call(state, proof, path, body, seconds_max))
    if by_identity.status != 401:
        return by_identity
    fresh = yield from _exchanged(state, seconds_max)
    return (yield from send(call(state, fresh, path, body, seconds_max)))


def _exchanged(state: TaskState, seconds_max: float) -> Flow[Secret]:
    proof = yield from prove()
    details = details_json({"type": "mayfly-task", "task": state.id})
    sent = time.monotonic()
    reply = yield from exchange(
        state.broker, form(proof, "jwt", details), seconds_max, key=state.key
    )
    state.token = held(reply, sent, None)
    return state.token.secret


def _ended(state: TaskState, answer: Answer) -> EndedTask:
    reply = Members(answer.body)
    ended = EndedTask(
        state=reply.inner("task").text("state"),
        leases=tuple(_lease(one) for one in reply.each("leases")),
    )
    state.ended = ended
    return ended


def _lease(lease: Members) -> EndedLease:
    exposure = lease.inner("exposure")
    match exposure.text("kind"):
        case "none":
            shown = "none"
        case "until":
            shown = f"until {exposure.text('until')} ({exposure.text('reason')})"
        case kind:
            shown = f"{kind} ({exposure.text('reason')})"
    return EndedLease(
        lease=lease.text("id"),
        role=lease.text_or_none("role"),
        state=lease.text("state"),
        outcome=lease.text_or_none("outcome"),
        exposure=shown,
    )
