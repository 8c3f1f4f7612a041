"""A task's token is bound to a key that the program keeps, and is nothing to who copies it."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest

import mayfly
from installation import READER, WRITER, aopened, identity_of, logs_in, opened, setting, state_of
from mayfly import proof_key
from mayfly.secret import Secret
from mayfly.steps import Send, send
from test_identity import jwt as looks_like_a_token


def claims_of(token: Secret) -> Mapping[str, Any]:
    claims: Mapping[str, Any] = jwt.decode(token.expose(), options={"verify_signature": False})
    return claims


def beats_as_bearer(task: str, token: Secret) -> int:
    """What the broker answers who copied the token, and sends it as a bearer does."""
    url = f"{setting('URL')}/v1/tasks/{task}/heartbeat"
    headers = {"Authorization": f"Bearer {token.expose()}"}
    return httpx.post(url, headers=headers, json={}, timeout=30).status_code


def test_a_copied_token_is_refused_and_the_program_does_all_that_it_could_before() -> None:
    later: mayfly.CredentialRequest = {"role": WRITER, "issue": "later"}
    with opened(credentials=[READER, later]) as task:
        assert "jkt" in claims_of(task.token)["cnf"]
        assert beats_as_bearer(task.id, task.token) == 401
        task.heartbeat()
        drawn = task.draw(WRITER)
        assert logs_in(drawn.url.expose())
        short = task.draw({"role": READER, "ttl": "1m"})
        assert task.renew(short, "2m").expires_at > short.expires_at
        task.end_credential(drawn)
        with task.child(goal="part", deadline="1m", credentials=[READER]) as child:
            key = claims_of(task.token)["cnf"]
            assert claims_of(child.token)["cnf"] == key
            assert beats_as_bearer(child.id, child.token) == 401
        with task.child(
            goal="part", deadline="1m", credentials=[READER], identity=identity_of("wasp")
        ) as other:
            assert logs_in(other.credential(READER).url.expose())
    assert state_of(task.id) == "completed"
    assert (state_of(child.id), state_of(other.id)) == ("completed", "completed")


async def _on_asyncio() -> tuple[str, int]:
    async with aopened() as task:
        await task.heartbeat()
        refused = beats_as_bearer(task.id, task.token)
        assert logs_in((await task.draw(READER)).url.expose())
    return task.id, refused


def test_it_is_the_same_on_asyncio() -> None:
    import asyncio

    task, refused = asyncio.run(_on_asyncio())
    assert refused == 401
    assert state_of(task) == "completed"


def test_each_task_has_a_key_of_its_own() -> None:
    with opened() as first, opened() as second:
        assert claims_of(first.token)["cnf"] != claims_of(second.token)["cnf"]


def test_without_one_the_token_is_a_bearers() -> None:
    opening = mayfly.task(
        goal="bearer",
        deadline="1m",
        identity=identity_of(),
        url=setting("URL"),
        issuer=setting("ISSUER"),
        dpop=False,
    )
    with opening as task:
        assert "cnf" not in claims_of(task.token)
        assert beats_as_bearer(task.id, task.token) == 200
    assert state_of(task.id) == "completed"


def test_a_key_is_not_shown() -> None:
    with opened() as task:
        assert "key=<ProofKey>" in repr(task._state)


@dataclass
class Asked:
    path: str
    headers: Mapping[str, str]


@dataclass
class Peer:
    """A server in a broker's place: what it was asked, and what it answers to the nth question."""

    url: str = ""
    algorithms: object = field(default_factory=lambda: ["ES256"])
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[int], tuple[int, Mapping[str, str], object]] = lambda _n: (200, {}, {})
    date: str | None = None


@contextmanager
def peer() -> Iterator[Peer]:
    it = Peer()

    class Handler(BaseHTTPRequestHandler):
        def _respond(self, status: int, headers: Mapping[str, str], body: object) -> None:
            self.send_response_only(status)
            self.send_header("date", it.date or formatdate(usegmt=True))
            for name, value in headers.items():
                self.send_header(name, value)
            sent = json.dumps(body).encode()
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def do_GET(self) -> None:
            metadata = {"issuer": it.url, "dpop_signing_alg_values_supported": it.algorithms}
            self._respond(200, {}, metadata)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            it.asked.append(Asked(self.path, dict(self.headers.items())))
            self._respond(*it.answer(len(it.asked)))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        it.url = f"http://127.0.0.1:{running.server_address[1]}"
        try:
            yield it
        finally:
            running.shutdown()


ISSUER = "https://broker.test/eu"
TOKEN = Secret("task.token.x")


def sent_to(it: Peer, times: int = 1) -> list[Mapping[str, Any]]:
    """Sends some requests of one key, and answers the proofs that the peer got: each verified with
    the key that stands in it."""
    broker = mayfly.broker.Broker(it.url, ISSUER, identity=mayfly.identity.find_identity(str))
    key = proof_key.ProofKey()
    step = Send("POST", f"{it.url}/v1/tasks/t/heartbeat?x=1", {}, "{}", 5.0, key, TOKEN)
    with mayfly.drive.Driver(broker) as driver:
        for _ in range(times):
            driver.run(send(step))
    return [proof_in(asked) for asked in it.asked]


def proof_in(asked: Asked) -> Mapping[str, Any]:
    proof = {name.lower(): value for name, value in asked.headers.items()}["dpop"]
    header = jwt.get_unverified_header(proof)
    assert (header["typ"], header["alg"]) == ("dpop+jwt", "ES256")
    assert sorted(header["jwk"]) == ["crv", "kty", "x", "y"]
    public = jwt.PyJWK(header["jwk"])
    claims: Mapping[str, Any] = jwt.decode(proof, public, ["ES256"], options={"verify_iat": False})
    return claims


def test_a_proof_is_of_its_request_and_token_under_the_issuers_name() -> None:
    with peer() as it:
        (claims,) = sent_to(it)
    assert claims["htm"] == "POST"
    assert claims["htu"] == f"{ISSUER}/v1/tasks/t/heartbeat"
    digest = hashlib.sha256(TOKEN.expose().encode()).digest()
    assert claims["ath"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert "nonce" not in claims


def test_each_proof_is_made_anew() -> None:
    with peer() as it:
        first, second = sent_to(it, 2)
    assert first["jti"] != second["jti"]


def test_a_proof_has_the_brokers_time_where_this_machines_clock_is_wrong() -> None:
    with peer() as it:
        it.date = formatdate(time.time() + 3600, usegmt=True)
        _, second = sent_to(it, 2)
    assert second["iat"] - time.time() > 3500


def test_a_proof_that_this_machines_clock_spoilt_is_made_anew_once() -> None:
    with peer() as it:
        it.date = formatdate(time.time() + 3600, usegmt=True)
        too_old = {"code": "invalid_dpop_proof", "detail": "Its iat is too old."}
        it.answer = lambda n: (400, {}, too_old) if n == 1 else (200, {}, {})
        first, second = sent_to(it)
    assert first["iat"] - time.time() < 60
    assert second["iat"] - time.time() > 3500


def test_a_nonce_that_is_asked_for_is_sent_at_once_and_from_then_on() -> None:
    wants = {"code": "use_dpop_nonce", "detail": "A nonce."}
    with peer() as it:
        it.answer = lambda n: (
            (401, {"dpop-nonce": "n1"}, wants)
            if n == 1
            else (
                200,
                {"dpop-nonce": "n2"},
                {},
            )
        )
        proofs = sent_to(it, 2)
    assert [proof.get("nonce") for proof in proofs] == [None, "n1", "n2"]


def test_a_broker_that_is_content_with_no_nonce_is_not_asked_for_ever() -> None:
    with peer() as it:
        it.answer = lambda _n: (401, {"dpop-nonce": "n"}, {"code": "use_dpop_nonce"})
        assert len(sent_to(it)) == 2


def opening_at(it: Peer, dpop: bool | None) -> mayfly.OpeningTask:
    token = looks_like_a_token(it.url)
    return mayfly.task(
        goal="g", deadline="1m", url=it.url, identity=lambda _audience: token, dpop=dpop
    )


@pytest.mark.parametrize(
    ("algorithms", "dpop", "is_bound"),
    [
        (["ES256"], None, True),
        (["ES256"], True, True),
        (["ES256"], False, False),
        (["RS256"], None, False),
        (None, None, False),
        ("ES256", None, False),
    ],
)
def test_a_key_is_made_where_the_broker_offers_it(
    algorithms: object, dpop: bool | None, is_bound: bool
) -> None:
    with peer() as it:
        it.algorithms = algorithms
        it.answer = lambda _n: (400, {}, {"code": "denied", "detail": "No."})
        with pytest.raises(mayfly.Denied), opening_at(it, dpop):
            pass
        assert ("dpop" in {name.lower() for name in it.asked[0].headers}) is is_bound


def test_one_that_was_asked_for_of_a_broker_without_is_an_error_and_no_token_is_sent() -> None:
    with peer() as it:
        it.algorithms = ["RS256"]
        with pytest.raises(mayfly.MayflyError) as refused, opening_at(it, True):
            pass
    assert (refused.value.code, refused.value.where, it.asked) == ("not_a_broker", "dpop", [])


def test_without_the_extra_tokens_are_a_bearers_unless_a_key_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proof_key, "can_prove", lambda: False)
    with peer() as it:
        it.answer = lambda _n: (400, {}, {"code": "denied", "detail": "No."})
        with pytest.raises(mayfly.Denied), opening_at(it, None):
            pass
        assert "dpop" not in {name.lower() for name in it.asked[0].headers}
        with pytest.raises(mayfly.MayflyError) as refused:
            opening_at(it, True)
    assert (refused.value.code, refused.value.where) == ("invalid_option", "dpop")
