"""Proves that this program, and nobody who copied its task token, sends a request (RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import secrets

from .errors import MayflyError, Problem
from .secret import Secret

ALGORITHM = "ES256"
"""The broker's metadata must name it."""


class ProofKey:
    """A key of one task, in this process's memory alone. Needs the extra ``dpop``."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec
        from jwt.algorithms import ECAlgorithm

        self._key = ec.generate_private_key(ec.SECP256R1())
        self._jwk = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def proof(
        self, method: str, htu: str, token: Secret | None, nonce: str | None, now: float
    ) -> str:
        """One JWT for one request. ``htu`` is below the broker's issuer, under whatever name it is
        reached; ``now`` is the broker's time."""
        import jwt

        claims: dict[str, object] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": htu,
            "iat": int(now),
        }
        if token is not None:
            claims["ath"] = _hash_of(token)
        if nonce is not None:
            claims["nonce"] = nonce
        header = {"typ": "dpop+jwt", "jwk": self._jwk}
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers=header)


def _hash_of(token: Secret) -> str:
    digest = hashlib.sha256(token.expose().encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def can_prove() -> bool:
    """Whether the extra ``dpop`` is there."""
    return all(importlib.util.find_spec(name) is not None for name in ("jwt", "cryptography"))


def require_extra() -> None:
    if can_prove():
        return
    raise MayflyError(
        Problem(
            code="invalid_option",
            message="A task's key needs PyJWT and cryptography, which are not installed.",
            where="dpop",
            hint="Install mayfly-client[dpop], or leave dpop= out.",
        )
    )


def key_for(wanted: bool | None, offered: bool, issuer: str) -> ProofKey | None:
    """None where the task's tokens are to be a bearer's."""
    if wanted is False or (wanted is None and not (offered and can_prove())):
        return None
    if offered:
        return ProofKey()
    raise MayflyError(
        Problem(
            code="not_a_broker",
            message=f"The broker at {issuer} does not offer DPoP with {ALGORITHM}.",
            where="dpop",
            hint="Leave dpop= out, or use a broker of a newer version.",
        )
    )
