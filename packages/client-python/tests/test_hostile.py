"""Whoever answers in the broker's place gets little, and takes nobody down."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import mayfly
from installation import READER, SHORT_DOMAIN, logs_in, opened, setting, token_of, until
from test_identity import jwt


class Hostile:
    """A server that knows what a broker is, and answers exchanges as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.issuer = ""
        self.status = 200
        self.body = b""
        self.headers: dict[str, str] = {}
        self.cut = False
        self.seen: list[tuple[str, str]] = []


@contextmanager
def hostile() -> Iterator[Hostile]:
    it = Hostile()

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            for name, value in it.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body) + (100 if it.cut else 0)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def do_GET(self) -> None:
            it.seen.append((self.path, ""))
            self.answer(200, json.dumps({"issuer": it.issuer or it.url}).encode())

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            it.seen.append((self.path, sent))
            self.answer(it.status, it.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        it.url = f"http://127.0.0.1:{running.server_address[1]}"
        try:
            yield it
        finally:
            running.shutdown()
            thread.join(10)


def refused(it: Hostile) -> mayfly.MayflyError:
    opening = mayfly.task(goal="x", deadline="1m", url=it.url, identity=lambda _a: jwt(it.url))
    with pytest.raises(mayfly.MayflyError) as error, opening:
        pass
    return error.value


TASK = {"id": "task_1", "deadline": "2100-01-01T00:00:00.000Z", "idle_timeout_seconds": 60}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"task": 1, "access_token": "secret-4711", "expires_in": 1}',
        json.dumps({"task": {**TASK, "deadline": "soon"}}).encode(),
        json.dumps({"task": TASK, "credentials": {"a": 1}}).encode(),
        json.dumps({"task": TASK, "credentials": [], "access_token": 5}).encode(),
        json.dumps(
            {"task": TASK, "credentials": [], "access_token": "secret-4711", "expires_in": "x"}
        ).encode(),
        b"\xff\xfe\x00",
        b"x" * 5_000_000,
    ],
    ids=range(12),
)
def test_an_answer_that_is_none_is_an_error_that_shows_nothing_of_it(body: bytes) -> None:
    with hostile() as it:
        it.body = body
        error = refused(it)
    assert error.code == "bad_answer"
    assert "secret-4711" not in str(error) + repr(error)


def test_a_redirect_is_not_followed_with_a_token() -> None:
    with hostile() as it, hostile() as thief:
        it.status = 307
        it.headers = {"location": f"{thief.url}/token"}
        error = refused(it)
    assert error.code == "not_a_broker"
    assert thief.seen == []


def test_a_server_of_another_issuer_gets_no_token() -> None:
    with hostile() as it:
        it.issuer = "https://vault.test"
        error = refused(it)
    assert error.code == "not_a_broker"
    assert [path for path, _ in it.seen] == ["/.well-known/oauth-authorization-server"]


def test_no_proxy_that_a_variable_names_sees_a_token_in_the_clear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hostile() as it, hostile() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        refused(it)
    assert proxy.seen == []
    assert len(it.seen) == 2


def test_an_unavailable_broker_is_asked_five_times_with_the_same_bytes_and_key() -> None:
    with hostile() as it:
        it.status = 503
        it.body = json.dumps({"code": "busy", "error_description": "full"}).encode()
        error = refused(it)
    assert isinstance(error, mayfly.Unavailable)
    exchanges = [sent for path, sent in it.seen if path == "/token"]
    assert len(exchanges) == 5
    assert len(set(exchanges)) == 1


def test_what_was_refused_is_not_asked_again() -> None:
    with hostile() as it:
        it.status = 400
        it.body = json.dumps({"code": "denied", "error_description": "no"}).encode()
        assert isinstance(refused(it), mayfly.Denied)
    assert len([1 for path, _ in it.seen if path == "/token"]) == 1


def test_a_wait_longer_than_there_is_time_for_is_told_and_not_waited_for() -> None:
    with hostile() as it:
        it.status = 503
        it.headers = {"retry-after": "3600"}
        it.body = json.dumps({"code": "issuing_paused", "error_description": "no sweep"}).encode()
        error = refused(it)
    assert error.retry_after == 3600
    assert "Retry after 3600 s." in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "ftp://a",
        "https://u@a",
        "https://a:99999",
        "https://a?b",
        "a",
        "https://a\\b",
    ],
)
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(mayfly.MayflyError) as error:
        mayfly.task(goal="x", deadline="1m", url=url)
    assert error.value.code == "invalid_option"


@pytest.mark.parametrize("token", ["a\nb.c.d", "ä.b.c", "a b.c.d", "x." + "y" * 9000 + ".z"])
def test_what_is_no_token_is_sent_to_nobody_and_shown_to_nobody(token: str) -> None:
    with hostile() as it:
        opening = mayfly.task(goal="x", deadline="1m", url=it.url, identity=lambda _a: token)
        with pytest.raises(mayfly.NoIdentity) as error, opening:
            pass
        assert all(path != "/token" for path, _ in it.seen)
    assert token not in str(error.value)


def test_a_task_is_read_while_other_threads_draw() -> None:
    with opened(credentials=[{"role": READER, "issue": "later"}]) as task:
        task.draw(READER)
        over = threading.Event()
        failed: list[BaseException] = []

        def read() -> None:
            try:
                while not over.is_set():
                    assert task.credential(READER).role == READER
                    assert len(task.credentials) >= 1
            except BaseException as error:  # noqa: BLE001 (told below)
                failed.append(error)

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        for _ in range(10):
            task.draw(READER)
        over.set()
        for reader in readers:
            reader.join(10)
        assert failed == []


def test_ending_from_two_threads_is_one_end() -> None:
    with opened() as task:
        url = task.credential(READER).url.expose()
        ends: list[object] = []
        threads = [threading.Thread(target=lambda: ends.append(task.complete())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(ends) == 4
    assert all(end is ends[0] for end in ends)
    assert not logs_in(url)


def test_a_source_that_breaks_later_loses_no_task_whose_token_is_good() -> None:
    calls: list[int] = []

    def flaky(_audience: str) -> str:
        calls.append(1)
        if len(calls) > 1:
            raise OSError("the agent restarts")
        return token_of(domain=SHORT_DOMAIN)

    # Half of the proof's few seconds passes here: it is asked for again, and breaks.
    opening = mayfly.task(
        goal="flaky",
        deadline="1m",
        idle_timeout="6s",
        identity=flaky,
        url=setting("URL"),
        issuer=setting("ISSUER"),
    )
    with opening as task:
        until("another proof", lambda: len(calls) > 1)
        assert not task.lost.wait(0.3)
