"""What reports a crash sends the locals of every frame: those of this client show no secret."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator

import pytest

import mayfly
from test_hostile import TASK, Hostile, hostile
from test_identity import jwt

CANARY = "canary-4711"
PERSON = jwt("a-person")
DENIED = json.dumps({"error": "access_denied", "code": "denied"}).encode()


def answer(token_seconds: int = 600, idle_seconds: int = 60, **more: object) -> bytes:
    data = {"host": "h", "port": 1, "database": "d", "username": "u", "tls": "verify-full"}
    credential = {
        "lease": "lease_1",
        "role": "a/b",
        "kind": "postgres-password",
        "expires_at": TASK["deadline"],
        "expiry_enforced_by": "login_only",
        "revocation": "immediate",
        "data": {**data, "password": CANARY, "url": f"postgresql://u:{CANARY}@h/d"},
        **more,
    }
    token = {"access_token": f"{CANARY}.token", "expires_in": token_seconds}
    task = {**TASK, "idle_timeout_seconds": idle_seconds}
    return json.dumps({**token, "task": task, "credentials": [credential]}).encode()


def opening(it: Hostile) -> mayfly.OpeningTask:
    def identity(_audience: str) -> str:
        return jwt(it.url)

    return mayfly.task(goal="x", deadline="1m", url=it.url, identity=identity, on_behalf_of=PERSON)


def our_frames(error: BaseException) -> Iterator[str]:
    told: BaseException | None = error
    while told is not None:
        whole = traceback.TracebackException.from_exception(told, capture_locals=True)
        for frame in whole.stack:
            if "/mayfly/" in frame.filename:
                yield f"{frame.name} {frame.locals}"
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)


def assert_shows_nothing(it: Hostile, error: BaseException) -> None:
    frames = list(our_frames(error))
    assert len(frames) > 1
    for secret in (CANARY, PERSON, jwt(it.url)):
        assert [frame for frame in frames if secret in frame] == []


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, DENIED), (200, answer(role=7)), (200, answer(expires_at="soon"))],
    ids=["denied", "no-role", "no-instant"],
)
def test_no_local_shows_a_token_when_opening_fails(status: int, body: bytes) -> None:
    with hostile() as it:
        it.status, it.body = status, body
        with pytest.raises(mayfly.MayflyError) as error, opening(it):
            pass
        assert_shows_nothing(it, error.value)


def test_no_local_shows_what_came_of_an_answer_that_was_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mayfly.exchange._ATTEMPTS_MAX", 1)
    with hostile() as it:
        it.status, it.body = 400, DENIED
        with pytest.raises(mayfly.Denied), opening(it):
            pass
        it.status, it.body, it.cut = 200, answer(), True
        with pytest.raises(mayfly.Unreachable) as error, opening(it):
            pass
        assert len(it.seen) == 3
        assert_shows_nothing(it, error.value)


@pytest.mark.parametrize("what", ["draw", "renew", "end_credential", "child", "complete"])
def test_no_local_shows_a_token_when_a_task_is_refused_something(what: str) -> None:
    with hostile() as it:
        it.body = answer()
        with opening(it) as task:
            it.status, it.body = 400, DENIED
            credential = task.credentials[0]
            calls: dict[str, Callable[[], object]] = {
                "draw": lambda: task.draw("a/b"),
                "renew": lambda: task.renew(credential),
                "end_credential": lambda: task.end_credential(credential),
                "child": lambda: task.child(goal="y", deadline="1m").__enter__(),
                "complete": task.complete,
            }
            with pytest.raises(mayfly.MayflyError) as error:
                calls[what]()
            assert_shows_nothing(it, error.value)
