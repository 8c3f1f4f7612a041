"""A task, on asyncio."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import overload

from . import flows, process
from .api_headers import api_headers
from .broker import Broker
from .credential import AccessToken, Credential, PostgresPassword
from .descriptor import Descriptor, Duration, Wanted
from .drive_async import AsyncDriver
from .ending import Verb, end_task
from .errors import MayflyError, TaskLost
from .holding import (
    END_WAIT_SECONDS,
    IDLE_TIMEOUT,
    OPEN_SECONDS_MAX,
    C,
    Ending,
    as_kind,
    held,
    no_heartbeats,
    raise_loss,
)
from .identity import IdentitySource, find_identity
from .secret import Secret
from .state import EndedTask, TaskState
from .steps import Flow

log = logging.getLogger("mayfly")
_leaving: set[asyncio.Task[None]] = set()
"""Ends whose block was cancelled a second time: the loop keeps no reference to what it runs."""


class AsyncTask:
    """An open task of one event loop. Made by ``async with mayfly.atask(…) as task``."""

    def __init__(self, state: TaskState, driver: AsyncDriver, on_signals: bool) -> None:
        self._state = state
        self._driver = driver
        self._ending = asyncio.Lock()
        self.lost = asyncio.Event()
        """Set when the task is over and this program did not end it; see :attr:`lost_error`."""
        state.on_lost.append(self.lost.set)
        process.register(state, on_signals)
        self._beating = asyncio.create_task(self._keep_alive(), name=f"mayfly-heartbeat-{state.id}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    @property
    def id(self) -> str:
        return self._state.id

    @property
    def deadline(self) -> datetime:
        return self._state.deadline

    @property
    def idle_timeout_seconds(self) -> int:
        return self._state.idle_timeout_seconds

    @property
    def token(self) -> Secret:
        """The task token as it is now: for a program that continues this task over HTTP."""
        return self._state.token.secret

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """All that were drawn and not ended, oldest first."""
        return tuple(self._state.credentials.values())

    @property
    def ended(self) -> EndedTask | None:
        """After the end: what became of each lease. None while it is open, or when the broker
        could not be told (then its idle timeout ends it)."""
        return self._state.ended

    @property
    def lost_error(self) -> TaskLost | None:
        return self._state.lost

    def seconds_left(self, credential: Credential) -> float:
        """Until the credential expires, also where this machine's clock is wrong."""
        return self._driver.clock.seconds_until(credential.expires_at)

    def api_headers(
        self, credential: AccessToken, method: str, url: str, nonce: str | None = None
    ) -> dict[str, str]:
        """The headers that present an access token to its API, in one request: a proof counts
        once, so each has its own. ``url`` is what the API is called by its clients; ``nonce`` is
        the ``DPoP-Nonce`` of its last answer, where it asks for one."""
        self._state.require_usable()
        now = self._driver.clock.now()
        return api_headers(self._state, credential, method, url, nonce, now)

    def check(self) -> None:
        """Raises :class:`~mayfly.TaskLost` if the task is over: for a loop between two steps."""
        self._state.require_usable()

    @overload
    def credential(self, role: str) -> PostgresPassword: ...
    @overload
    def credential(self, role: str, kind: type[C]) -> C: ...
    def credential(self, role: str, kind: type[Credential] = PostgresPassword) -> Credential:
        """The newest credential of that role, as a PostgreSQL login or the kind that you name
        (``mayfly.Credential``: any). Raises an error that says what the task holds instead."""
        return held(self._state, role, kind)

    @overload
    async def draw(self, wanted: Wanted) -> PostgresPassword: ...
    @overload
    async def draw(self, wanted: Wanted, kind: type[C]) -> C: ...
    async def draw(self, wanted: Wanted, kind: type[Credential] = PostgresPassword) -> Credential:
        """One more credential of a role that the task declared."""
        drawn = await self._driver.run(flows.draw(self._state, wanted, OPEN_SECONDS_MAX))
        return as_kind(drawn, kind)

    async def renew(self, credential: C, ttl: Duration | None = None) -> C:
        """Moves the expiry later, as far as role, task and today's policy allow. The secret stays
        the same; the answer has the new ``expires_at``."""
        return await self._driver.run(flows.renew(self._state, credential, ttl))

    async def end_credential(self, credential: Credential) -> None:
        """Ends one credential now, and not with the task."""
        await self._driver.run(flows.end_lease(self._state, credential))

    async def heartbeat(self) -> None:
        """One heartbeat now, beside those in the background: after a long pause of this process."""
        await self._driver.run(flows.beat(self._state))

    def child(
        self,
        *,
        goal: str,
        deadline: Duration,
        credentials: Sequence[Wanted] = (),
        idle_timeout: Duration = IDLE_TIMEOUT,
        ref: str | None = None,
        targets: Sequence[str] = (),
        identity: str | IdentitySource | Callable[[str], str] | None = None,
        end_wait_seconds: float = END_WAIT_SECONDS,
        report_error_text: bool = False,
        end_on_signals: bool = True,
    ) -> OpeningAsyncTask:
        """A task within this one: it can only narrow, and ends when this one does. With
        ``identity`` it is another workload's."""
        descriptor = Descriptor(goal, deadline, credentials, idle_timeout, ref, targets, None)
        own = None if identity is None else find_identity(identity)

        def opening() -> Flow[TaskState]:
            return flows.open_child(self._state, descriptor, own, OPEN_SECONDS_MAX)

        parents = self._state.broker
        broker = parents if own is None else replace(parents, identity=own)
        return OpeningAsyncTask(
            opening, broker, end_wait_seconds, report_error_text, end_on_signals
        )

    async def complete(
        self, reason: str | None = None, wait: float = END_WAIT_SECONDS
    ) -> EndedTask:
        """Ends the task before the block does."""
        return await self._end("complete", reason, wait)

    async def fail(self, reason: str | None = None, wait: float = END_WAIT_SECONDS) -> EndedTask:
        return await self._end("fail", reason, wait)

    async def cancel(self, reason: str | None = None, wait: float = 0) -> EndedTask:
        return await self._end("cancel", reason, wait)

    async def _keep_alive(self) -> None:
        try:
            await self._driver.run(flows.keep_alive(self._state))
        except Exception:
            self._state.lose(no_heartbeats(self.id))
            raise

    async def _end(self, verb: Verb, reason: str | None, wait: float) -> EndedTask:
        async with self._ending:
            if self._state.ended is not None:
                return self._state.ended
            # It beats on until the broker has heard of the end.
            return await self._driver.run(end_task(self._state, verb, reason, wait))

    async def _leave(self, ending: Ending) -> None:
        self._state.is_left = True
        try:
            await self._end(ending.verb, ending.reason, ending.wait_seconds)
        except MayflyError as failed:
            log.warning(
                "task %s: the broker could not be told of its end, its idle timeout ends it: %s",
                self.id,
                failed,
            )
        finally:
            process.unregister(self._state)
            self._beating.cancel()
            await asyncio.wait([self._beating])
            await self._driver.close()


class OpeningAsyncTask:
    """What ``mayfly.atask`` gives: entered, it opens the task; left, it ends it."""

    def __init__(
        self,
        opening: Callable[[], Flow[TaskState]],
        broker: Broker,
        end_wait_seconds: float,
        report_error_text: bool,
        end_on_signals: bool,
    ) -> None:
        self._opening = opening
        self._broker = broker
        self._end_wait = end_wait_seconds
        self._report_error_text = report_error_text
        self._end_on_signals = end_on_signals
        self._task: AsyncTask | None = None

    async def __aenter__(self) -> AsyncTask:
        if self._task is not None:
            raise RuntimeError("a task is opened once; call mayfly.atask again for another")
        driver = AsyncDriver(self._broker)
        try:
            self._task = AsyncTask(await driver.run(self._opening()), driver, self._end_on_signals)
        except BaseException:
            await driver.close()
            raise
        return self._task

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        task = self._task
        if task is None or not task._state.is_here():
            # A forked child leaves its parent's block: nothing here is its to end.
            return
        ending = Ending.of(error, self._end_wait, self._report_error_text)
        # Cancelled while it ends, the block is left at once, and the end goes on.
        leaving = asyncio.create_task(task._leave(ending))
        _leaving.add(leaving)
        leaving.add_done_callback(_leaving.discard)
        await asyncio.shield(leaving)
        raise_loss(task._state, error)
