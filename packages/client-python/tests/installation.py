"""The running installation that the tests use, and what they ask of it behind the client."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import psycopg

import mayfly

READER = "orders-db/reader"
WRITER = "orders-db/writer"
DOMAIN = "system.test"
SHORT_DOMAIN = "short.test"
SOURCE = Path(__file__).parent.parent / "src"
T = TypeVar("T")


def setting(name: str) -> str:
    value = os.environ.get(f"MAYFLY_TEST_{name}")
    if value is None:
        raise RuntimeError(
            f"MAYFLY_TEST_{name} is not set: these tests are run by test/python, through "
            "npm test -- test/python"
        )
    return value


def control(path: str, **params: str) -> Mapping[str, Any]:
    answer = httpx.get(f"{setting('CONTROL')}{path}", params=params, timeout=30)
    answer.raise_for_status()
    return cast("Mapping[str, Any]", answer.json())


def token_of(agent: str = "bee", domain: str = DOMAIN, seconds: int = 300) -> str:
    return str(control("/token", agent=agent, domain=domain, seconds=str(seconds))["token"])


def identity_of(agent: str = "bee", domain: str = DOMAIN) -> Callable[[str], str]:
    return lambda _audience: token_of(agent, domain)


def opened(
    agent: str = "bee",
    credentials: Sequence[mayfly.Wanted] = (READER,),
    domain: str = DOMAIN,
    deadline: mayfly.Duration = "5m",
    idle_timeout: mayfly.Duration = "60s",
) -> mayfly.OpeningTask:
    return mayfly.task(
        goal="test the client",
        deadline=deadline,
        credentials=credentials,
        idle_timeout=idle_timeout,
        identity=identity_of(agent, domain),
        url=setting("URL"),
        issuer=setting("ISSUER"),
    )


def aopened(
    agent: str = "bee",
    credentials: Sequence[mayfly.Wanted] = (READER,),
    domain: str = DOMAIN,
    idle_timeout: mayfly.Duration = "60s",
) -> mayfly.OpeningAsyncTask:
    return mayfly.atask(
        goal="test the client",
        deadline="5m",
        credentials=credentials,
        idle_timeout=idle_timeout,
        identity=identity_of(agent, domain),
        url=setting("URL"),
        issuer=setting("ISSUER"),
    )


def admin(method: str, path: str, body: object = None) -> Mapping[str, Any]:
    answer = httpx.request(
        method,
        f"{setting('URL')}{path}",
        headers={"Authorization": f"Bearer {setting('ADMIN_TOKEN')}"},
        json=body,
        timeout=60,
    )
    answer.raise_for_status()
    return cast("Mapping[str, Any]", answer.json())


def state_of(task: str) -> str:
    return str(admin("GET", f"/v1/tasks/{task}")["state"])


def reason_of(task: str) -> str | None:
    reason = admin("GET", f"/v1/tasks/{task}")["end_reason"]
    return None if reason is None else str(reason)


def logs_in(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            connection.execute("SELECT count(*) FROM orders")
    except psycopg.Error:
        # Refused, or cut between the login and the question, when its role is gone already.
        return False
    return True


def until(what: str, look: Callable[[], T | bool | None], seconds: float = 20) -> T | bool:
    """Looks until it sees something that is neither None nor False."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if seen is not None and seen is not False:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.05)


@contextmanager
def frozen_broker() -> Iterator[None]:
    """Within it, the broker's process stands still: connections open, and nobody answers."""
    control("/freeze")
    try:
        yield
    finally:
        control("/thaw")


def program_environment(tmp_path: Path, agent: str = "bee") -> dict[str, str]:
    """For a program of its own, which finds its identity in a file."""
    file = tmp_path / "identity.jwt"
    file.write_text(token_of(agent), encoding="ascii")
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(SOURCE),
        "PYTHONUNBUFFERED": "1",
        "MAYFLY_URL": setting("URL"),
        "MAYFLY_ISSUER": setting("ISSUER"),
        "MAYFLY_IDENTITY_FILE": str(file),
    }


@contextmanager
def program(tmp_path: Path, text: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program; killed at the end, should it still run."""
    with subprocess.Popen(
        [sys.executable, "-c", text],
        env=program_environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line_of(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    line = running.stdout.readline().strip()
    if line == "":
        assert running.stderr is not None
        running.kill()
        raise AssertionError(f"the program said nothing: {running.stderr.read()}")
    return line
