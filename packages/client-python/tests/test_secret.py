"""A secret is shown by ``expose`` and by nothing else."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from io import StringIO

import pytest

import mayfly
from installation import READER, opened
from mayfly.reading import Members

CANARY = "c4n4ry-4711"


def credential() -> mayfly.PostgresPassword:
    return mayfly.PostgresPassword(
        "lease_1",
        READER,
        "postgres-password",
        datetime.now(timezone.utc),
        "login_only",
        "immediate",
        host="db",
        port=5432,
        database="orders",
        username="mf_1",
        password=mayfly.Secret(CANARY),
        tls="verify-full",
        url=mayfly.Secret(f"postgresql://mf_1:{CANARY}@db/orders"),
    )


def logged(value: object) -> str:
    out = StringIO()
    handler = logging.StreamHandler(out)
    logger = logging.getLogger("canary")
    logger.addHandler(handler)
    logger.warning("credential %s %r", value, value, extra={"credential": value})
    logger.removeHandler(handler)
    return out.getvalue()


def in_a_traceback(value: object) -> str:
    try:
        raise ValueError(value)
    except ValueError as error:
        lines = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(lines.format())


FORMS: dict[str, Callable[[object], str]] = {
    "str": str,
    "repr": repr,
    "format": lambda value: format(value, ">40"),
    "f-string": lambda value: f"{value} {value!r} {value!s} {value!a}",
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031 (that is what is tested)
    "in a list": lambda value: str([value, {"key": value}]),
    "pprint": pprint.pformat,
    "json": lambda value: json.dumps({"it": value}, default=str),
    "logging": logged,
    "a traceback with locals": in_a_traceback,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "value", [mayfly.Secret(CANARY), credential()], ids=["a-secret", "a-credential"]
)
def test_shows_as_secret_in(form: Callable[[object], str], value: object) -> None:
    shown = form(value)
    assert CANARY not in shown
    assert "[secret]" in shown


@pytest.mark.parametrize(
    ("tls", "mode"),
    [
        ("verify-full", "verify-full"),
        ("unsafe_require_unverified", "require"),
        ("unsafe_disable", "disable"),
        ("of-a-later-version", "verify-full"),
    ],
)
def test_a_subprocess_never_uses_less_tls_than_the_backend_says(tls: str, mode: str) -> None:
    variables = dataclasses.replace(credential(), tls=tls).environment()
    assert variables["PGSSLMODE"] == mode


def test_as_a_dictionary_it_hides_what_is_secret() -> None:
    shown = repr(dataclasses.asdict(credential()))
    assert CANARY not in shown
    assert "[secret]" in shown
    assert "orders" in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(protocol: int) -> None:
    for value in (mayfly.Secret(CANARY), credential()):
        with pytest.raises(TypeError, match="at rest in the clear"):
            pickle.dumps(value, protocol)


def test_json_refuses_it_unless_told_how_to_show_it() -> None:
    with pytest.raises(TypeError):
        json.dumps(mayfly.Secret(CANARY))


def test_its_members_do_not_hold_it() -> None:
    secret = mayfly.Secret(CANARY)
    assert not hasattr(secret, "__dict__")
    shown = [repr(getattr(secret, name)) for name in dir(secret) if name != "expose"]
    assert not any(CANARY in one for one in shown)


def test_a_copy_is_the_secret_itself() -> None:
    secret = mayfly.Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"deep": [secret]})["deep"][0] is secret
    assert secret.expose() == CANARY


def test_a_kind_that_is_not_known_is_secret_whole() -> None:
    from mayfly.credential import parse_credential

    other = parse_credential(
        Members(
            {
                "lease": "lease_1",
                "role": "cloud/reader",
                "kind": "cloud-keys",
                "expires_at": "2026-11-21T00:00:00.000Z",
                "expiry_enforced_by": "upstream",
                "revocation": "propagating",
                "data": {"key": CANARY, "scopes": [CANARY]},
            }
        )
    )
    assert isinstance(other, mayfly.OtherCredential)
    assert CANARY not in repr(other) + repr(dataclasses.asdict(other)) + repr(other.data)
    assert other.data["key"].expose() == CANARY
    assert json.loads(other.data["scopes"].expose()) == [CANARY]


def test_no_log_line_of_a_whole_task_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), opened() as task:
        held = task.credential(READER)
        drawn = task.draw(READER)
        secrets = [held.password, held.url, drawn.password, drawn.url, task.token]
        shown = f"{task!r} {task.credentials} {task._state!r}"
    assert len(caplog.records) > 0
    for secret in secrets:
        assert secret.expose() not in caplog.text
        assert secret.expose() not in shown
