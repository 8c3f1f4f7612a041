"""The proof of each request, as the driver sends it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from .broker import Broker
from .broker_clock import BrokerClock
from .steps import Send


class Proofs:
    """Of one driver: knows the broker's time, and the nonce that it gave last (RFC 9449 section 8).
    A proof counts once, so each attempt has its own."""

    def __init__(self, broker: Broker, clock: BrokerClock) -> None:
        self._below = len(broker.url)
        self._issuer = broker.issuer
        self._clock = clock
        self._nonce: str | None = None

    def headers_of(self, step: Send) -> dict[str, str]:
        # Never a local of this frame: they hold the token, and what reports a crash sends locals.
        return {**step.headers, **self._proof_of(step)}

    def _proof_of(self, step: Send) -> dict[str, str]:
        if step.key is None:
            return {}
        htu = f"{self._issuer}{urlsplit(step.url[self._below :]).path}"
        proof = step.key.proof(step.method, htu, step.token, self._nonce, self._clock.now())
        return {"DPoP": proof}

    def heed(self, headers: Mapping[str, str]) -> None:
        self._nonce = headers.get("dpop-nonce") or self._nonce
