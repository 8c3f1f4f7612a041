"""Which broker, and as whom."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from .errors import MayflyError, Problem
from .identity import Identity, IdentitySource, find_identity
from .proof_key import require_extra

_WELL_KNOWN = "/.well-known/oauth-authorization-server"


@dataclass(frozen=True)
class Broker:
    url: str
    """Where it is reached, without a trailing slash."""
    issuer: str
    """What it calls itself: the audience that a proof of identity is addressed to."""
    identity: Identity
    dpop: bool | None = None
    """Whether a task is bound to a key of its own. None: if the broker offers it, and it can be."""

    @property
    def is_https(self) -> bool:
        return self.url.startswith("https:")

    @property
    def metadata_url(self) -> str:
        """RFC 8414 section 3.1: the well-known part stands before the issuer's path."""
        reached = urlsplit(self.url)
        path = urlsplit(self.issuer).path.rstrip("/")
        return f"{reached.scheme}://{reached.netloc}{_WELL_KNOWN}{path}"


def find_broker(
    url: str | None,
    issuer: str | None,
    identity: str | IdentitySource | Callable[[str], str] | None,
    unsafe_plain_http: bool,
    dpop: bool | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Broker:
    """What was passed, else ``MAYFLY_URL``, ``MAYFLY_ISSUER`` and what identity is found."""
    if dpop is True:
        require_extra()
    address = (url or environ.get("MAYFLY_URL") or "").rstrip("/")
    if address == "":
        raise _refused("No broker is named.", "MAYFLY_URL", "Set it to the broker's URL.")
    parts = _parsed(address)
    if parts is None or not parts.hostname:
        raise _refused(
            "The broker's URL is not usable.",
            "MAYFLY_URL",
            "Give it as https://host or http://127.0.0.1:8420, without user or query.",
        )
    if parts.scheme == "http" and not unsafe_plain_http and not _is_this_machine(parts.hostname):
        raise _refused(
            f"A proof of identity is not sent over plain http to {parts.hostname}.",
            "MAYFLY_URL",
            "Use https, or pass unsafe_plain_http=True where the network itself is trusted.",
        )
    named = (issuer or environ.get("MAYFLY_ISSUER") or address).rstrip("/")
    return Broker(url=address, issuer=named, identity=find_identity(identity, environ), dpop=dpop)


def _parsed(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        # Reading the port is what checks it.
        is_usable = parts.port != 0 and parts.scheme in ("http", "https")
    except ValueError:
        return None
    return parts if is_usable and not re.search(r"[@?#\s\\]", address) else None


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(message: str, where: str, hint: str) -> MayflyError:
    problem = Problem(code="invalid_option", message=message, where=where, hint=hint)
    return MayflyError(problem)
