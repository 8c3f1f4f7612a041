"""A task that ends and was not ended here."""

from __future__ import annotations

import sys
import time

import pytest

import mayfly
from installation import READER, admin, frozen_broker, logs_in, opened, state_of, until


def kill(task: str) -> None:
    admin("POST", f"/v1/tasks/{task}/kill", {"reason": "the agent was compromised", "wait": "10s"})


def test_a_killed_task_is_lost_with_the_reason() -> None:
    with pytest.raises(mayfly.TaskLost), opened(idle_timeout="2s") as task:
        url = task.credential(READER).url.expose()
        kill(task.id)
        assert not logs_in(url)
        assert task.lost.wait(10)
        until("the reason", lambda: "compromised" in str(task.lost_error))
        assert task.lost_error is not None
        assert task.lost_error.code == "task_ended"
        with pytest.raises(mayfly.TaskLost, match="killed"):
            task.credential(READER)
        with pytest.raises(mayfly.TaskLost):
            task.draw(READER)


def test_a_task_that_was_killed_unnoticed_is_no_success_either() -> None:
    with pytest.raises(mayfly.TaskLost, match="was killed before"), opened() as task:
        kill(task.id)
    assert state_of(task.id) == "killed"


def test_the_bodys_own_exception_is_never_replaced() -> None:
    with pytest.raises(ZeroDivisionError) as raised, opened() as task:
        kill(task.id)
        raise ZeroDivisionError("mine")
    if sys.version_info >= (3, 11):
        assert any("killed" in note for note in raised.value.__notes__)


def test_a_heartbeat_of_ones_own_finds_it_out_at_once() -> None:
    with pytest.raises(mayfly.TaskLost, match="compromised"), opened() as task:
        task.heartbeat()
        kill(task.id)
        task.heartbeat()


def test_drawing_from_a_killed_task_says_that_it_is_lost() -> None:
    with pytest.raises(mayfly.TaskLost) as lost, opened() as task:
        kill(task.id)
        task.draw(READER)
    assert lost.value.code == "task_ended"
    assert lost.value.hint is not None
    assert task.lost.is_set()


def test_a_broker_that_does_not_answer_for_the_idle_timeout_loses_the_task() -> None:
    with pytest.raises(mayfly.TaskLost, match="idle timeout"), opened(idle_timeout="2s") as task:
        url = task.credential(READER).url.expose()
        with frozen_broker():
            assert task.lost.wait(15)
            # The worker ends it meanwhile: the agent must stop, and its login is dead.
            until("the login to be refused", lambda: not logs_in(url))
    assert state_of(task.id) == "expired"


def test_a_short_silence_of_the_broker_loses_nothing() -> None:
    with opened(idle_timeout="6s") as task:
        with frozen_broker():
            time.sleep(2)
        assert not task.lost.wait(1)
        assert logs_in(task.credential(READER).url.expose())


def test_the_deadline_ends_the_task_whatever_the_agent_does() -> None:
    with pytest.raises(mayfly.TaskLost), opened(deadline="2s", idle_timeout="2s") as task:
        url = task.credential(READER).url.expose()
        assert task.lost.wait(10)
        until("the login to be refused", lambda: not logs_in(url))
