"""What a source of identity is."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Protocol

_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# What the broker reads of one.
_TOKEN_CHARACTERS_MAX = 8 * 1024


class IdentitySource(Protocol):
    """Gives a token that proves who this workload is. May block, for seconds; is called again
    whenever a fresh proof is needed, from any thread."""

    @property
    def name(self) -> str:
        """For messages: ``file``."""
        ...

    def token(self, audience: str) -> str:
        """A JWT addressed to ``audience``, the broker's issuer. Raises :class:`NotSetUp` where
        this source is not meant here, :class:`SourceFailed` where it is and fails."""
        ...


class NotSetUp(Exception):
    """Nothing here points to this source. The message says what would."""


class SourceFailed(Exception):
    """This source is set up and gave no token. The message says why, and holds no token."""


def check_audience(token: str, audience: str, fix: str) -> str:
    """The token, if it is addressed to the broker. One that is another server's is not sent."""
    audiences = audiences_of(token)
    if audience in audiences:
        return token
    seen = ", ".join(audiences) or "nobody"
    raise SourceFailed(f"its token is addressed to {seen}, not to {audience}; {fix}")


def audiences_of(token: str) -> list[str]:
    """What ``aud`` says, unverified: that is the broker's to do."""
    audience = _claims_of(token).get("aud")
    if isinstance(audience, str):
        return [audience]
    return [one for one in audience if isinstance(one, str)] if isinstance(audience, list) else []


def seconds_expired(token: str, now: float) -> int | None:
    """For how many whole seconds a token is expired at ``now``, as it says itself."""
    try:
        expires = _claims_of(token).get("exp")
    except SourceFailed:
        return None
    if isinstance(expires, bool) or not isinstance(expires, (int, float)):
        return None
    seconds = int(now - expires)
    return seconds if seconds > 0 else None


def _claims_of(token: str) -> dict[str, Any]:
    if len(token) > _TOKEN_CHARACTERS_MAX or not _JWT.fullmatch(token):
        raise SourceFailed("what it holds is no JWT")
    parts = token.split(".")
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (IndexError, ValueError, binascii.Error, RecursionError):
        raise SourceFailed("what it holds is no JWT") from None
    if not isinstance(claims, dict):
        raise SourceFailed("what it holds is no JWT")
    return claims
