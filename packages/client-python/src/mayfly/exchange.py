"""Requests as the broker reads them, and what is made of its answers."""

from __future__ import annotations

import dataclasses
import json
import random
import time
import uuid
from collections.abc import Mapping
from urllib.parse import urlencode

from .broker import Broker
from .errors import MayflyError, TaskLost, Unavailable, Unreachable, raise_for
from .proof_key import ProofKey
from .reading import Members
from .secret import Secret
from .state import HeldToken, TaskState
from .steps import Answer, Flow, Send, pause, send

_TYPE = "urn:ietf:params:oauth:token-type:"
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ATTEMPTS_MAX = 5
_DELAY_SECONDS_MAX = 10.0
REQUEST_SECONDS_MAX = 30.0


def retried(step: Send, seconds_max: float) -> Flow[Answer]:
    """Sends the same bytes again, where the broker or the network says that this may help: at most
    five times, within ``seconds_max``, never sooner than the broker asks."""
    until = time.monotonic() + seconds_max
    for attempt in range(_ATTEMPTS_MAX):
        left = until - time.monotonic()
        error: MayflyError
        try:
            bounded = dataclasses.replace(step, seconds_max=max(0.1, min(step.seconds_max, left)))
            answer = yield from send(bounded)
            if answer.status < 400:
                return answer
            error = raise_for(answer.problem())
            if not isinstance(error, Unavailable):
                return answer
        except Unreachable as unreachable:
            error = unreachable
        backoff = min(_DELAY_SECONDS_MAX, 0.2 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
        wait = max(error.retry_after or 0.0, backoff)
        if attempt == _ATTEMPTS_MAX - 1 or time.monotonic() + wait >= until:
            raise error
        yield from pause(wait)
    raise AssertionError("the last attempt returns or raises")


def exchange(
    broker: Broker,
    asked: Secret,
    seconds_max: float,
    state: TaskState | None = None,
    key: ProofKey | None = None,
) -> Flow[Members]:
    """``POST /token``. One key for all attempts: whoever lost a reply never gets two credentials,
    and the one that nobody received is ended."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Idempotency-Key": str(uuid.uuid4()),
    }
    by = key if state is None else state.key
    step = Send("POST", f"{broker.url}/token", headers, asked.expose(), REQUEST_SECONDS_MAX, by)
    answer = yield from retried(step, seconds_max)
    if answer.status == 200:
        return Members(answer.body)
    raise refusal(state, answer)


def form(subject: Secret, kind: str, details: str, actor: Secret | None = None) -> Secret:
    """The body of an exchange. Hidden: what reports a crash sends the locals of each frame."""
    acting = (
        {} if actor is None else {"actor_token": actor.expose(), "actor_token_type": f"{_TYPE}jwt"}
    )
    members = {
        "grant_type": _GRANT,
        "subject_token": subject.expose(),
        "subject_token_type": f"{_TYPE}{kind}",
        **acting,
        "authorization_details": details,
    }
    return Secret(urlencode(members))


def call(
    state: TaskState, token: Secret, path: str, body: Mapping[str, object], seconds_max: float
) -> Send:
    scheme = "Bearer" if state.key is None else "DPoP"
    return Send(
        "POST",
        f"{state.broker.url}{path}",
        {"Authorization": f"{scheme} {token.expose()}", "Content-Type": "application/json"},
        json.dumps(body),
        seconds_max,
        state.key,
        token,
    )


def as_holder(
    state: TaskState, path: str, body: Mapping[str, object], seconds_max: float
) -> Flow[Answer]:
    return (yield from send(call(state, state.token.secret, path, body, seconds_max)))


def accepted(state: TaskState, answer: Answer) -> Members:
    if answer.status == 200:
        return Members(answer.body)
    raise refusal(state, answer)


def refusal(state: TaskState | None, answer: Answer) -> MayflyError:
    error = raise_for(answer.problem(), task_known=state is not None)
    if state is not None and isinstance(error, TaskLost):
        state.lose(error)
    return error


def held(reply: Members, sent: float, before: HeldToken | None) -> HeldToken:
    life = float(reply.number("expires_in"))
    return HeldToken(
        secret=Secret(reply.text("access_token")),
        until=sent + life,
        proven_life=life if before is None else before.proven_life,
    )
