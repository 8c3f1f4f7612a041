"""The operations on a task, each written once for threads and asyncio."""

from __future__ import annotations

import dataclasses
import logging
import random
import time
from typing import TypeVar

from .broker import Broker
from .credential import Credential, parse_credential
from .descriptor import Descriptor, Duration, Wanted, credential_json, details_json, duration_json
from .errors import MayflyError, NoIdentity, Problem, TaskLost, raise_for
from .exchange import (
    REQUEST_SECONDS_MAX,
    accepted,
    as_holder,
    call,
    exchange,
    form,
    held,
    retried,
)
from .identity import PROOF_SECONDS_MAX, Identity
from .identity.source import seconds_expired
from .proof_key import ALGORITHM, ProofKey, key_for
from .reading import Members
from .secret import Secret
from .state import TaskState
from .steps import Answer, Flow, Send, pause, prove, send

log = logging.getLogger("mayfly")
C = TypeVar("C", bound=Credential)
T = TypeVar("T")

_checked: dict[tuple[str, str], bool] = {}
"""Brokers whose issuer was seen to be the expected one, and whether they offer DPoP."""


def check_issuer(broker: Broker, seconds_max: float) -> Flow[bool]:
    """Answers whether it offers DPoP. The audience of a proof of identity is what the caller
    trusts, never what an answer says: else whoever answers could ask for a token that another
    server accepts."""
    key = (broker.metadata_url, broker.issuer)
    known = _checked.get(key)
    if known is not None:
        return known
    answer = yield from retried(Send("GET", broker.metadata_url), seconds_max)
    if answer.status != 200:
        raise raise_for(answer.problem())
    metadata = Members(answer.body, "metadata")
    says = metadata.text("issuer").rstrip("/")
    if says != broker.issuer:
        raise MayflyError(
            Problem(
                code="not_a_broker",
                message=f"The broker at {broker.url} says that it is {says}, not {broker.issuer}.",
                where="issuer",
                hint="If that is its public name, set MAYFLY_ISSUER to it; no token was sent.",
            )
        )
    offers = metadata.lists("dpop_signing_alg_values_supported", ALGORITHM)
    _checked[key] = offers
    return offers


def open_task(
    broker: Broker, descriptor: Descriptor, on_behalf_of: Secret | None, seconds_max: float
) -> Flow[TaskState]:
    until = time.monotonic() + seconds_max
    offers = yield from check_issuer(broker, seconds_max)
    key = key_for(broker.dpop, offers, broker.issuer)
    proof = yield from prove()
    details = details_json(descriptor.to_json(None))
    if on_behalf_of is None:
        asked = form(proof, "jwt", details)
    else:
        asked = form(on_behalf_of, "jwt", details, actor=proof)
    return (yield from _explained(_opened(broker, asked, until - time.monotonic(), key), proof))


def _explained(flow: Flow[T], proof: Secret) -> Flow[T]:
    try:
        return (yield from flow)
    except MayflyError as error:
        error.problem = why_refused(error.problem, proof, time.time())
        error.args = (error.problem,)
        raise


def why_refused(problem: Problem, proof: Secret, now: float) -> Problem:
    """The broker tells nobody why it refused a proof; what can be seen from here is said here."""
    seconds = seconds_expired(proof.expose(), now)
    if problem.code != "invalid_identity" or seconds is None:
        return problem
    seen = f"By this machine's clock the token has been expired for {seconds} s."
    return dataclasses.replace(problem, hint=f"{seen} {problem.hint or ''}".rstrip())


def open_child(
    parent: TaskState, descriptor: Descriptor, identity: Identity | None, seconds_max: float
) -> Flow[TaskState]:
    """With an identity of its own the child is another workload's; without, its parent's."""
    parent.require_usable()
    actor = (yield from prove()) if identity is not None else None
    details = details_json(descriptor.to_json(parent.id))
    asked = form(parent.token.secret, "access_token", details, actor=actor)
    broker = parent.broker
    if identity is not None:
        broker = dataclasses.replace(broker, identity=identity)
    # A child is bound to the key that its parent is bound to.
    return (yield from _opened(broker, asked, seconds_max, parent.key))


def _opened(
    broker: Broker, asked: Secret, seconds_max: float, key: ProofKey | None
) -> Flow[TaskState]:
    sent = time.monotonic()
    reply = yield from exchange(broker, asked, seconds_max, key=key)
    task = reply.inner("task")
    credentials = [parse_credential(one) for one in reply.each("credentials")]
    return TaskState(
        broker=broker,
        id=task.text("id"),
        deadline=task.instant("deadline"),
        idle_timeout_seconds=task.number("idle_timeout_seconds"),
        token=held(reply, sent, None),
        credentials={one.lease: one for one in credentials},
        key=key,
    )


def draw(state: TaskState, wanted: Wanted, seconds_max: float) -> Flow[Credential]:
    """One more credential of what the task declared."""
    state.require_usable()
    details = details_json(
        {"type": "mayfly-task", "task": state.id, "credentials": [credential_json(wanted)]}
    )
    sent = time.monotonic()
    try:
        asked = form(state.token.secret, "access_token", details)
        reply = yield from exchange(state.broker, asked, seconds_max, state)
        state.token = held(reply, sent, state.token)
    except MayflyError as error:
        if error.code != "invalid_identity":
            raise
        # The token is too old, or the proof behind it.
        proof = yield from prove()
        sent = time.monotonic()
        asked = form(proof, "jwt", details)
        reply = yield from _explained(exchange(state.broker, asked, seconds_max, state), proof)
        state.token = held(reply, sent, None)
    credential = parse_credential(reply.each("credentials")[0])
    state.credentials[credential.lease] = credential
    return credential


def renew(state: TaskState, credential: C, ttl: Duration | None) -> Flow[C]:
    """A new decision under today's policy; only ever moves the expiry. The secret stays."""
    state.require_usable()
    body = {} if ttl is None else {"ttl": duration_json(ttl)}
    path = f"/v1/leases/{credential.lease}/renew"
    answer = yield from as_holder(state, path, body, REQUEST_SECONDS_MAX)
    if answer.status in (401, 403) and answer.problem().code == "invalid_identity":
        yield from beat(state, must_prove=True)
        answer = yield from as_holder(state, path, body, REQUEST_SECONDS_MAX)
    lease = accepted(state, answer)
    renewed = dataclasses.replace(credential, expires_at=lease.instant("expires_at"))
    state.credentials[credential.lease] = renewed
    return renewed


def end_lease(state: TaskState, credential: Credential) -> Flow[None]:
    state.require_usable()
    path = f"/v1/leases/{credential.lease}/end"
    answer = yield from as_holder(state, path, {}, REQUEST_SECONDS_MAX)
    accepted(state, answer)
    state.credentials.pop(credential.lease, None)


def beat(state: TaskState, must_prove: bool = False) -> Flow[None]:
    """One heartbeat, with a fresh proof of identity where one is due. Raises :class:`TaskLost`
    when the broker says that the task is over, or knows its holder no more."""
    state.require_here()
    seconds_max = max(0.5, min(10.0, state.idle_timeout_seconds / 3))
    proof, why = None, None
    if must_prove or state.token.wants_proof():
        # A source that hangs holds up no heartbeat while the token counts.
        patience = max(1.5, state.idle_timeout_seconds / 3) if state.token.lives() else None
        proof, why = yield from _proof_or_why(state, patience)
    sent = time.monotonic()
    answer = yield from _beat_with(state, proof or state.token.secret, seconds_max)
    if answer.status == 401:
        # The other of the two may still be good.
        other: Secret | None = state.token.secret
        if proof is None:
            other, why = yield from _proof_or_why(state, None)
        else:
            why = _refused(state, answer, proof)
        if other is not None:
            proof = None if proof is not None else other
            sent = time.monotonic()
            answer = yield from _beat_with(state, other, seconds_max)
            if answer.status == 401 and proof is not None:
                why = _refused(state, answer, proof)
    if answer.status == 401 and not state.token.lives():
        raise TaskLost(answer.problem()) if why is None else _unproven(state, why)
    if answer.status == 404 and answer.problem().code == "not_found":
        raise TaskLost(answer.problem())
    reply = accepted(state, answer)
    state.token = held(reply, sent, None if proof is not None else state.token)
    state.last_accepted = sent


def _beat_with(state: TaskState, token: Secret, seconds_max: float) -> Flow[Answer]:
    path = f"/v1/tasks/{state.id}/heartbeat"
    return (yield from send(call(state, token, path, {}, seconds_max)))


def _refused(state: TaskState, answer: Answer, proof: Secret) -> MayflyError:
    """Told at once: the token counts on for a while, in which the source can be mended."""
    error = MayflyError(why_refused(answer.problem(), proof, time.time()))
    log.warning("task %s: a fresh proof of identity was refused: %s", state.id, error)
    return error


def _proof_or_why(
    state: TaskState, patience: float | None
) -> Flow[tuple[Secret | None, MayflyError | None]]:
    try:
        seconds = PROOF_SECONDS_MAX if patience is None else min(PROOF_SECONDS_MAX, patience)
        return (yield from prove(seconds)), None
    except NoIdentity as error:
        log.warning("task %s: identity could not be proven afresh: %s", state.id, error)
        return None, error


def _unproven(state: TaskState, why: MayflyError) -> TaskLost:
    hint = "Stop: the idle timeout ends the task. Mend the source of identity."
    if not isinstance(why, NoIdentity):
        hint = f"{hint} {why.hint or ''}".rstrip()
    return TaskLost(
        Problem(
            code="task_lost",
            message=f"{state.id} is out of reach: its last proof of identity is too old, and "
            f"there is no fresh one. {why.problem.message.strip()}",
            where="identity",
            hint=hint,
            trace=why.trace,
        )
    )


def keep_alive(state: TaskState) -> Flow[None]:
    """Heartbeats until the task is over. Four fit into the idle timeout, so that three may fail."""
    every = min(30.0, state.idle_timeout_seconds / 4)
    wait = every
    while True:
        yield from pause(wait * random.uniform(0.85, 1.0))  # noqa: S311 (spreads load)
        wait = every
        try:
            yield from beat(state)
        except TaskLost as error:
            state.lose(error)
            return
        except MayflyError as error:
            wait = min(every, 1.0)
            if error.code == "ledger_unavailable":
                # The idle clock stands still while the ledger takes no writes.
                state.last_accepted = time.monotonic()
            silent = time.monotonic() - state.last_accepted
            log.warning("task %s: a heartbeat was not accepted: %s", state.id, error)
            if silent >= state.idle_timeout_seconds:
                state.lose(_silent(state, error))
                return


def _silent(state: TaskState, last: MayflyError) -> TaskLost:
    return TaskLost(
        Problem(
            code="task_lost",
            message=f"No heartbeat of {state.id} was accepted within its idle timeout of "
            f"{state.idle_timeout_seconds} s, so the broker ends it. The last one: {last.message}",
            hint="Stop: the credentials are dead or dying. Open a new task when it is reachable.",
            trace=last.trace,
        )
    )
