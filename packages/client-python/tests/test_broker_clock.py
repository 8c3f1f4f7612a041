"""What is left of a credential is the broker's to say, whatever this machine's clock says."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from mayfly.broker_clock import BrokerClock
from test_hostile import hostile
from test_traceback import answer, opening


def date_in(seconds: float) -> dict[str, str]:
    then = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return {"date": format_datetime(then, usegmt=True)}


@pytest.mark.parametrize("ahead", [600, -600, 3])
def test_it_is_reckoned_from_the_date_of_the_last_answer(ahead: int) -> None:
    clock = BrokerClock()
    clock.heed(date_in(ahead))
    instant = datetime.now(timezone.utc) + timedelta(seconds=1000)
    assert clock.seconds_until(instant) == pytest.approx(1000 - ahead, abs=1.5)


@pytest.mark.parametrize(
    "headers", [{}, {"date": ""}, {"date": "soon"}, {"date": "Thu, 99 Jan 2026 00:00:00 GMT"}]
)
def test_an_answer_without_a_date_changes_nothing(headers: dict[str, str]) -> None:
    clock = BrokerClock()
    clock.heed(date_in(600))
    clock.heed(headers)
    assert clock.seconds_until(datetime.now(timezone.utc)) == pytest.approx(-600, abs=1.5)


def test_a_date_that_is_nearly_now_is_no_difference() -> None:
    clock = BrokerClock()
    clock.heed(date_in(-1))
    assert clock.seconds_until(datetime.now(timezone.utc)) == pytest.approx(0, abs=0.5)


def test_a_task_says_what_is_left_of_its_credential() -> None:
    with hostile() as it:
        it.body = answer(
            expires_at=(datetime.now(timezone.utc) + timedelta(seconds=900)).isoformat()
        )
        with opening(it) as task:
            [credential] = task.credentials
            assert task.seconds_left(credential) == pytest.approx(900, abs=5)
