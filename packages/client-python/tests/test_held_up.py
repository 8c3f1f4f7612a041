"""A client that is held up, late or forked costs seconds, and never a task that is good."""

from __future__ import annotations

import json
import threading
import time

import pytest

import mayfly
from mayfly.identity import Identity
from test_hostile import hostile
from test_identity import jwt
from test_traceback import answer


class Hanging:
    name = "hanging"

    def __init__(self, token: str) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.asked = 0
        self._token = token

    def token(self, _audience: str) -> str:
        self.asked += 1
        self.go_on.wait(60)
        return self._token


def test_a_proof_that_does_not_come_is_waited_for_in_seconds_and_not_asked_for_twice() -> None:
    source = Hanging("x")
    source.go_on.clear()
    identity = Identity([source])
    begun = time.monotonic()
    for _ in range(3):
        with pytest.raises(mayfly.NoIdentity, match="within 0.2 s"):
            identity.prove("a", 0.2)
    assert time.monotonic() - begun < 5
    assert source.asked == 1
    source.go_on.set()
    assert identity.prove("a", 5).expose() == "x"


def test_heartbeats_go_on_while_the_source_hangs() -> None:
    with hostile() as it:
        source = Hanging(jwt(it.url))
        it.body = answer(token_seconds=8, idle_seconds=4)
        opening = mayfly.task(goal="x", deadline="1m", url=it.url, identity=source)
        with opening as task:
            source.go_on.clear()
            # More than half of the token's life is gone with each answer: proof is always due.
            it.body = json.dumps({"access_token": "t", "expires_in": 3}).encode()
            time.sleep(7)
            beats = [path for path, _ in it.seen if path.endswith("/heartbeat")]
            assert len(beats) >= 2
            assert not task.lost.is_set()
            source.go_on.set()
            it.body = json.dumps({"task": {"state": "completed"}, "leases": []}).encode()


def test_a_heartbeat_that_comes_after_our_own_end_loses_nothing() -> None:
    with hostile() as it:
        it.body = answer()
        with mayfly.task(
            goal="x", deadline="1m", url=it.url, identity=lambda _a: jwt(it.url)
        ) as task:
            # As it stands while the end is under way: asked for, and not yet answered.
            task._state.asked_end = "completed"
            it.status = 409
            it.body = json.dumps({"code": "task_ended", "detail": "completed"}).encode()
            with pytest.raises(mayfly.TaskLost):
                task.heartbeat()
            assert not task.lost.is_set()
            it.status = 200
            it.body = json.dumps({"task": {"state": "completed"}, "leases": []}).encode()


def test_a_loss_after_an_end_that_failed_inside_the_block_is_told() -> None:
    with hostile() as it:
        it.body = answer(idle_seconds=1)
        opening = mayfly.task(
            goal="x", deadline="1m", url=it.url, identity=lambda _a: jwt(it.url), end_wait_seconds=0
        )
        with pytest.raises(mayfly.TaskLost), opening as task:
            it.status = 409
            it.body = json.dumps({"code": "conflict", "detail": "not now"}).encode()
            with pytest.raises(mayfly.MayflyError):
                task.complete()
            # The block goes on, and so does what it has to know.
            it.status = 503
            it.body = json.dumps({"code": "busy", "detail": "full"}).encode()
            assert task.lost.wait(10)


def test_work_that_was_done_stays_done_where_a_broker_cannot_take_its_end() -> None:
    with hostile() as it:
        it.body = answer(idle_seconds=1)
        opening = mayfly.task(
            goal="x", deadline="1m", url=it.url, identity=lambda _a: jwt(it.url), end_wait_seconds=0
        )
        with opening as task:
            it.status = 503
            it.headers = {"retry-after": "1"}
            it.body = json.dumps({"code": "busy", "detail": "full"}).encode()
        # Meanwhile no heartbeat was accepted for longer than the idle timeout.
        assert len([1 for path, _ in it.seen if path.endswith("/heartbeat")]) > 1
        assert task.ended is None
        assert not task.lost.is_set()


def test_a_proof_that_is_refused_later_is_told_and_the_loss_says_what_is_seen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with hostile() as it:
        it.body = answer(token_seconds=2, idle_seconds=6)
        old = jwt(it.url, exp=1_000)
        with (
            pytest.raises(mayfly.TaskLost, match="has been expired for") as lost,
            mayfly.task(goal="x", deadline="1m", url=it.url, identity=lambda _a: old) as task,
        ):
            it.status = 401
            it.body = json.dumps({"code": "invalid_identity", "detail": "Not verified."}).encode()
            assert task.lost.wait(10)
        assert lost.value.where == "identity"
        assert "a fresh proof of identity was refused" in caplog.text
        assert old not in caplog.text


@pytest.mark.parametrize("verb", ["heartbeat", "complete", "fail", "cancel"])
def test_a_forked_child_neither_beats_for_nor_ends_the_task_of_its_parent(verb: str) -> None:
    with hostile() as it:
        it.body = answer()
        with mayfly.task(
            goal="x", deadline="1m", url=it.url, identity=lambda _a: jwt(it.url)
        ) as task:
            # As it stands in a child: the task is of another process.
            task._state.process += 1
            before = len(it.seen)
            with pytest.raises(mayfly.MayflyError) as error:
                getattr(task, verb)()
            assert error.value.code == "forked"
            assert len(it.seen) == before
            task._state.process -= 1
            it.body = json.dumps({"task": {"state": "completed"}, "leases": []}).encode()
