"""A task on asyncio."""

from __future__ import annotations

import asyncio

import pytest

import mayfly
from installation import (
    READER,
    SHORT_DOMAIN,
    admin,
    aopened,
    logs_in,
    reason_of,
    setting,
    state_of,
    until,
)


def test_a_block_has_a_login_that_works_and_is_refused_after_it() -> None:
    async def body() -> tuple[str, str]:
        async with aopened() as task:
            url = task.credential(READER).url.expose()
            assert await asyncio.to_thread(logs_in, url)
        assert task.ended is not None
        assert task.ended.is_revoked
        return task.id, url

    task, url = asyncio.run(body())
    assert state_of(task) == "completed"
    assert not logs_in(url)


def test_an_exception_fails_the_task() -> None:
    seen: list[str] = []

    async def body() -> None:
        async with aopened(credentials=[]) as task:
            seen.append(task.id)
            raise ValueError("not for the ledger")

    with pytest.raises(ValueError, match="not for the ledger"):
        asyncio.run(body())
    assert state_of(seen[0]) == "failed"
    assert reason_of(seen[0]) == "ValueError"


def test_cancelling_the_body_cancels_the_task_and_stays_a_cancellation() -> None:
    seen: list[str] = []

    async def body() -> None:
        async with aopened() as task:
            seen.extend([task.id, task.credential(READER).url.expose()])
            await asyncio.sleep(60)

    async def cancelling() -> None:
        running = asyncio.create_task(body())
        while not seen:
            await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelling())
    assert state_of(seen[0]) == "cancelled"
    assert reason_of(seen[0]) == "CancelledError"
    until("the login to be refused", lambda: not logs_in(seen[1]))


def test_cancelled_again_while_it_ends_the_end_goes_on() -> None:
    seen: list[str] = []

    async def body() -> None:
        async with aopened() as task:
            seen.append(task.id)
            await asyncio.sleep(60)

    async def cancelling() -> None:
        running = asyncio.create_task(body())
        while not seen:
            await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.sleep(1)

    asyncio.run(cancelling())
    until("the task to be cancelled", lambda: state_of(seen[0]) == "cancelled")


def test_a_timeout_around_the_block_ends_the_task() -> None:
    seen: list[str] = []

    async def body() -> None:
        async with aopened(credentials=[]) as task:
            seen.append(task.id)
            await asyncio.sleep(60)

    async def bounded() -> None:
        await asyncio.wait_for(body(), 1.5)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(bounded())
    assert state_of(seen[0]) == "cancelled"


def test_many_draws_at_once_and_a_child() -> None:
    later: mayfly.CredentialRequest = {"role": READER, "issue": "later"}

    async def body() -> None:
        async with aopened(credentials=[later]) as task:
            drawn = await asyncio.gather(*(task.draw(READER) for _ in range(5)))
            assert len({one.username for one in drawn}) == 5
            renewed = await task.renew(await task.draw({"role": READER, "ttl": 30}), "2m")
            await task.end_credential(renewed)
            async with task.child(goal="half", deadline="1m", credentials=[READER]) as child:
                url = child.credential(READER).url.expose()
                assert await asyncio.to_thread(logs_in, url)
            assert not await asyncio.to_thread(logs_in, url)

    asyncio.run(body())


def test_heartbeats_and_fresh_proofs_keep_it_alive() -> None:
    async def body() -> None:
        async with aopened(domain=SHORT_DOMAIN, idle_timeout="8s") as task:
            await asyncio.sleep(int(setting("PROOF_SECONDS")) + 1.5)
            assert not task.lost.is_set()
            assert await asyncio.to_thread(logs_in, task.credential(READER).url.expose())

    asyncio.run(body())


def test_a_killed_task_is_lost_and_no_success() -> None:
    async def body() -> None:
        async with aopened(idle_timeout="10s") as task:
            await asyncio.to_thread(
                admin, "POST", f"/v1/tasks/{task.id}/kill", {"reason": "compromised"}
            )
            await asyncio.wait_for(task.lost.wait(), 60)
            with pytest.raises(mayfly.TaskLost):
                task.check()

    with pytest.raises(mayfly.TaskLost, match="killed"):
        asyncio.run(body())
