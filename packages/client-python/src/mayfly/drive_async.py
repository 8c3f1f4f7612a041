"""Does a flow's steps on asyncio."""

from __future__ import annotations

import asyncio
import time
from typing import TypeVar

import httpx

from .broker import Broker
from .broker_clock import BrokerClock
from .drive import Received, answer_of, unreachable
from .errors import MayflyError
from .proofs import Proofs
from .steps import Answer, Flow, Given, Pause, Prove, Send, Step

T = TypeVar("T")


class AsyncDriver:
    """One HTTP client of one event loop."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=broker.is_https)
        self.clock = BrokerClock()
        self._proofs = Proofs(broker, self.clock)

    async def run(self, flow: Flow[T]) -> T:
        given: Given = None
        failed: MayflyError | None = None
        while True:
            try:
                step = flow.send(given) if failed is None else flow.throw(failed)
            except StopIteration as done:
                value: T = done.value
                return value
            given, failed = None, None
            try:
                given = await self._do(step)
            except MayflyError as error:
                failed = error

    async def _do(self, step: Step) -> Given:
        match step:
            case Send():
                return await self._send(step)
            case Prove():
                # Sources block: a socket, a metadata server, a library of a cloud.
                broker = self._broker
                return await asyncio.to_thread(
                    broker.identity.prove, broker.issuer, step.seconds_max
                )
            case Pause():
                await asyncio.sleep(step.seconds)
                return None

    async def _send(self, step: Send) -> Answer:
        until = time.monotonic() + step.seconds_max
        try:
            request = self._client.build_request(
                step.method,
                step.url,
                headers=self._proofs.headers_of(step),
                content=step.content or None,
                timeout=step.seconds_max,
            )
            response = await self._client.send(request, stream=True)
            try:
                body = Received(until, step.url)
                async for part in response.aiter_bytes():
                    body.take(part)
                    del part
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise unreachable(step, error) from None
        self.clock.heed(response.headers)
        self._proofs.heed(response.headers)
        return answer_of(response, body)

    async def close(self) -> None:
        await self._client.aclose()
