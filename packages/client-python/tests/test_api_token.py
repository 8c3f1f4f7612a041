"""An access token that is bound to the task's key is presented with a proof for each request."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
import pytest

import mayfly
from installation import aopened, identity_of, opened, setting

CALLER = "orders-api/caller"
AUDIENCE = "https://orders.system.test"
ADDRESS = f"{AUDIENCE}/orders?state=open#first"


def verified(headers: Mapping[str, str]) -> Mapping[str, Any]:
    """As an API that takes bound tokens alone: answers the proof's claims (RFC 9449 section 4.3 and
    7.1). The keys are those that the broker publishes for the backend."""
    scheme, token = headers["Authorization"].split(" ")
    assert scheme == "DPoP"
    keys = httpx.get(f"{setting('URL')}/backends/orders-api/jwks", timeout=30).json()["keys"]
    kid = jwt.get_unverified_header(token)["kid"]
    [jwk] = [key for key in keys if key["kid"] == kid]
    issuer = f"{setting('ISSUER')}/backends/orders-api"
    claims = jwt.decode(
        token, jwt.PyJWK(jwk).key, algorithms=["ES256"], audience=AUDIENCE, issuer=issuer
    )
    header = jwt.get_unverified_header(headers["DPoP"])
    assert (header["typ"], header["alg"]) == ("dpop+jwt", "ES256")
    proof: Mapping[str, Any] = jwt.decode(
        headers["DPoP"], jwt.PyJWK(header["jwk"]).key, algorithms=["ES256"]
    )
    assert claims["cnf"] == {"jkt": thumbprint(header["jwk"])}
    assert proof["ath"] == digest(token)
    return proof


def thumbprint(jwk: Mapping[str, str]) -> str:
    """RFC 7638."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return digest(json.dumps(members, separators=(",", ":"), sort_keys=True))


def digest(text: str) -> str:
    hashed = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()


def test_each_request_has_a_proof_of_the_tasks_key_and_of_the_token() -> None:
    with opened(credentials=[CALLER]) as task:
        token = task.credential(CALLER, mayfly.AccessToken)
        assert (token.token_type, token.audience, token.scope) == (
            "DPoP",
            (AUDIENCE,),
            ("orders:read",),
        )
        assert "eyJ" not in f"{token} {token!r} {token.token}"
        first = verified(task.api_headers(token, "POST", ADDRESS))
        assert (first["htm"], first["htu"]) == ("POST", f"{AUDIENCE}/orders")
        second = verified(task.api_headers(token, "GET", ADDRESS, nonce="n-1"))
        assert (second["htm"], second["nonce"]) == ("GET", "n-1")
        assert first["jti"] != second["jti"]
        assert "nonce" not in first


def test_another_tasks_key_or_another_tokens_proof_is_refused() -> None:
    with opened(credentials=[CALLER]) as task, opened(credentials=[CALLER]) as other:
        token = task.credential(CALLER, mayfly.AccessToken)
        drawn = task.draw(CALLER, mayfly.AccessToken)
        mine = task.api_headers(token, "GET", ADDRESS)
        theirs = other.api_headers(token, "GET", ADDRESS)
        for headers in (
            theirs,
            {**mine, "Authorization": f"DPoP {drawn.token.expose()}"},
        ):
            with pytest.raises(AssertionError):
                verified(headers)
        assert verified(mine)["htm"] == "GET"


def test_without_a_key_it_is_a_bearers_and_a_bound_one_is_told_apart() -> None:
    bearer = mayfly.task(
        goal="bearer",
        deadline="1m",
        credentials=[CALLER],
        identity=identity_of(),
        url=setting("URL"),
        issuer=setting("ISSUER"),
        dpop=False,
    )
    with bearer as task, opened(credentials=[CALLER]) as bound:
        token = task.credential(CALLER, mayfly.AccessToken)
        headers = task.api_headers(token, "GET", ADDRESS)
        assert headers == {"Authorization": f"Bearer {token.token.expose()}"}
        with pytest.raises(mayfly.MayflyError) as refused:
            task.api_headers(bound.credential(CALLER, mayfly.AccessToken), "GET", ADDRESS)
        assert refused.value.where == "dpop"
        with pytest.raises(mayfly.MayflyError) as nowhere:
            bound.api_headers(bound.credential(CALLER, mayfly.AccessToken), "GET", "/orders")
        assert nowhere.value.where == "url"


def test_a_default_port_and_a_user_are_no_part_of_the_address() -> None:
    with opened(credentials=[CALLER]) as task:
        token = task.credential(CALLER, mayfly.AccessToken)
        headers = task.api_headers(token, "GET", "https://me:x@Orders.System.Test:443")
        assert verified(headers)["htu"] == f"{AUDIENCE}/"


def test_the_proof_names_method_and_address_as_they_are_sent() -> None:
    with opened(credentials=[CALLER]) as task:
        token = task.credential(CALLER, mayfly.AccessToken)
        for url in (f"{AUDIENCE}/bücher/a b/../größe?x=1", "https://bücher.system.test/x"):
            request = httpx.Request("get", url)
            proof = verified(task.api_headers(token, "get", url))
            assert proof["htm"] == request.method
            assert proof["htu"] == str(request.url.copy_with(query=None))
        for url in ("https://me:hunter2@[::1/x", "ftp://me:hunter2@a.test/", "http:///x"):
            with pytest.raises(mayfly.MayflyError) as refused:
                task.api_headers(token, "GET", url)
            assert refused.value.where == "url"
            assert "hunter2" not in f"{refused.value!r} {refused.value.__cause__!r}"


async def _on_asyncio() -> Mapping[str, Any]:
    async with aopened(credentials=[CALLER]) as task:
        token = task.credential(CALLER, mayfly.AccessToken)
        return verified(task.api_headers(token, "GET", ADDRESS))


def test_it_is_the_same_on_asyncio() -> None:
    assert asyncio.run(_on_asyncio())["htm"] == "GET"
