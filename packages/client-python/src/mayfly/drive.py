"""Does a flow's steps on the calling thread."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import httpx

from .broker import Broker
from .broker_clock import BrokerClock
from .errors import MayflyError, Problem, Unreachable
from .proofs import Proofs
from .steps import Answer, Flow, Given, Pause, Prove, Send, Step

ANSWER_BYTES_MAX = 4 * 1024 * 1024
T = TypeVar("T")


class Driver:
    """One HTTP client. Safe to use from several threads."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        # A redirect would carry the token to somebody else. What goes over plain http goes to this
        # machine, and through no proxy that a variable names.
        self._client = httpx.Client(follow_redirects=False, trust_env=broker.is_https)
        self.clock = BrokerClock()
        self._proofs = Proofs(broker, self.clock)

    def run(self, flow: Flow[T], sleep: Callable[[float], None] = time.sleep) -> T:
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
                given = self._do(step, sleep)
            except MayflyError as error:
                failed = error

    def _do(self, step: Step, sleep: Callable[[float], None]) -> Given:
        match step:
            case Send():
                return self._send(step)
            case Prove():
                return self._broker.identity.prove(self._broker.issuer, step.seconds_max)
            case Pause():
                sleep(step.seconds)
                return None

    def _send(self, step: Send) -> Answer:
        until = time.monotonic() + step.seconds_max
        try:
            request = self._client.build_request(
                step.method,
                step.url,
                headers=self._proofs.headers_of(step),
                content=step.content or None,
                timeout=step.seconds_max,
            )
            response = self._client.send(request, stream=True)
            try:
                body = Received(until, step.url)
                for part in response.iter_bytes():
                    body.take(part)
                    del part
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise unreachable(step, error) from None
        self.clock.heed(response.headers)
        self._proofs.heed(response.headers)
        return answer_of(response, body)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Received:
    """An answer while it comes: as a whole it has a size and a time. It may hold a credential, so
    no frame has it as a local that shows it: what reports a crash sends those."""

    def __init__(self, until: float, url: str) -> None:
        self._until = until
        self._url = url
        self._body = bytearray()

    def take(self, part: bytes) -> None:
        self._body += part
        del part
        if len(self._body) > ANSWER_BYTES_MAX:
            raise MayflyError(
                Problem(code="bad_answer", message="The answer is larger than any of a broker.")
            )
        if time.monotonic() > self._until:
            message = f"{self._url} did not finish its answer in time."
            raise Unreachable(Problem(code="broker_unreachable", message=message))

    def json(self) -> object:
        """None where it is no JSON."""
        try:
            value: object = json.loads(self._body)
        except (ValueError, RecursionError):
            return None
        return value


def answer_of(response: httpx.Response, body: Received) -> Answer:
    return Answer(response.status_code, dict(response.headers), body.json())


def unreachable(step: Send, error: httpx.HTTPError) -> Unreachable:
    """Says what went wrong by its class alone: texts of a transport may hold what was sent."""
    return Unreachable(
        Problem(
            code="broker_unreachable",
            message=f"{step.url} gave no answer ({type(error).__name__}).",
            where="MAYFLY_URL",
            hint="Check the URL, the network and that the broker runs.",
        )
    )
