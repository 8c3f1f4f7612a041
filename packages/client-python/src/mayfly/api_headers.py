"""The headers that present an access token to an API of the caller's own."""

from __future__ import annotations

from urllib.parse import urlsplit

from .credential import AccessToken
from .errors import MayflyError, Problem
from .state import TaskState

_BOUND = "DPoP"


def api_headers(
    state: TaskState, credential: AccessToken, method: str, url: str, nonce: str | None, now: float
) -> dict[str, str]:
    """RFC 9449 section 7.1, RFC 6750 section 2.1. ``now`` is the broker's time."""
    # Never a local of this frame: they hold the token, and what reports a crash sends locals.
    return {
        "Authorization": f"{credential.token_type} {credential.token.expose()}",
        **_proof_of(state, credential, method, url, nonce, now),
    }


def _proof_of(
    state: TaskState, credential: AccessToken, method: str, url: str, nonce: str | None, now: float
) -> dict[str, str]:
    if credential.token_type != _BOUND:
        return {}
    if state.key is None:
        raise MayflyError(
            Problem(
                code="invalid_option",
                message=f"The token is bound to a key, and {state.id} has none here.",
                where="dpop",
                hint="Leave dpop=False out, and present a token by the task that drew it.",
            )
        )
    return {"DPoP": state.key.proof(method, _htu(url), credential.token, nonce, now)}


def _htu(url: str) -> str:
    """Without query and fragment (RFC 9449 section 4.2), and without a user."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or parts.hostname is None:
        raise MayflyError(
            Problem(
                code="invalid_option",
                message="Not the URL of a request: expected https://host/path.",
                where="url",
            )
        )
    host = parts.netloc.rpartition("@")[2].lower()
    port = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{host.removesuffix(port)}{parts.path or '/'}"
