"""The headers that present an access token to an API of the caller's own."""

from __future__ import annotations

import httpx

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
    return {"DPoP": state.key.proof(method.upper(), _htu(url), credential.token, nonce, now)}


def _htu(url: str) -> str:
    """As HTTP libraries send it, with the host in IDNA and the path percent-encoded; without query
    and fragment (RFC 9449 section 4.2), and without a user."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        # Its message would quote a password that stands in the URL.
        raise _no_url() from None
    if parsed.scheme not in ("https", "http") or parsed.host == "":
        raise _no_url()
    path, _, _ = parsed.raw_path.partition(b"?")
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii')}{path.decode('ascii')}"


def _no_url() -> MayflyError:
    return MayflyError(
        Problem(
            code="invalid_option",
            message="Not the URL of a request: expected https://host/path.",
            where="url",
        )
    )
