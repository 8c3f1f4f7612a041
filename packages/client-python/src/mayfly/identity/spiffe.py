"""Identity from the SPIFFE Workload API."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .source import NotSetUp, SourceFailed, check_audience

_SECONDS_MAX = 5.0


class SpiffeIdentity:
    """A JWT-SVID from the agent at ``SPIFFE_ENDPOINT_SOCKET``. Needs ``mayfly-client[spiffe]``."""

    name = "spiffe"

    def __init__(self, socket: str | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self._socket = socket or environ.get("SPIFFE_ENDPOINT_SOCKET") or None

    def token(self, audience: str) -> str:
        if self._socket is None:
            raise NotSetUp("SPIFFE_ENDPOINT_SOCKET is not set")
        try:
            from spiffe import WorkloadApiClient
            from spiffe.errors import PySpiffeError
        except ImportError:
            raise SourceFailed(
                "the library is not installed; pip install 'mayfly-client[spiffe]'"
            ) from None
        try:
            with WorkloadApiClient(self._socket) as client:
                svid = client.fetch_jwt_svid({audience}, timeout=_SECONDS_MAX)
                token = svid.token
        except PySpiffeError as error:
            raise SourceFailed(f"the Workload API at {self._socket}: {error}") from None
        return check_audience(token, audience, "which the Workload API was asked for")
