"""What an agent's author is told."""

from __future__ import annotations

import pickle

import pytest

import mayfly
from installation import (
    READER,
    admin,
    identity_of,
    opened,
    setting,
    token_of,
)
from mayfly.errors import Problem


def refused(_agent: str = "bee", /, **more: object) -> mayfly.MayflyError:
    arguments: dict[str, object] = {
        "goal": "be refused",
        "deadline": "5m",
        "credentials": [READER],
        "identity": identity_of(_agent),
        "url": setting("URL"),
        "issuer": setting("ISSUER"),
        **more,
    }
    # Any arguments at all: what is refused is refused by the broker or the client.
    opening = mayfly.task(**arguments)  # type: ignore[arg-type]
    with pytest.raises(mayfly.MayflyError) as error, opening:
        pass
    return error.value


def test_a_denial_has_rule_decision_place_and_next_step() -> None:
    denied = refused("mallory")
    assert isinstance(denied, mayfly.Denied)
    assert denied.code == "denied"
    assert denied.determining_policies == ("mallory-gets-nothing",)
    assert denied.where == "authorization_details[0].credentials[0]"
    assert denied.decision is not None
    assert denied.hint is not None
    assert f"mayfly policy explain {denied.decision}" in denied.hint
    assert denied.trace is not None
    assert "mallory-gets-nothing" in str(denied)
    assert READER in str(denied)
    assert denied.decision in str(denied)
    decision = admin("GET", f"/v1/decisions/{denied.decision}")
    assert decision["effect"] == "deny"


def test_a_denial_is_no_less_after_pickling() -> None:
    denied = refused("mallory")
    again = pickle.loads(pickle.dumps(denied))  # noqa: S301 (our own bytes)
    assert isinstance(again, mayfly.Denied)
    assert str(again) == str(denied)
    assert again.to_dict() == denied.to_dict()


def test_an_unknown_role_is_told_from_a_forbidden_one_by_nobody() -> None:
    unknown = refused(credentials=["orders-db/raeder"])
    assert isinstance(unknown, mayfly.Denied)
    assert unknown.determining_policies == ()
    assert "raeder" in str(unknown)


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"deadline": "15 minutes"}, "authorization_details[0].deadline"),
        ({"deadline": "400d"}, "authorization_details[0].deadline"),
        ({"idle_timeout": 0}, "authorization_details[0].idle_timeout"),
        ({"goal": ""}, "authorization_details[0].goal"),
        ({"credentials": ["reader"]}, "authorization_details[0].credentials[0].role"),
        (
            {"credentials": [{"role": READER, "lifetime": "5m"}]},
            "authorization_details[0].credentials[0].lifetime",
        ),
        ({"targets": ["orders"]}, "authorization_details[0].targets[0]"),
    ],
    ids=["duration", "too-long", "no-idle", "no-goal", "role", "member", "target"],
)
def test_a_mistake_in_the_descriptor_is_named_by_its_place(
    more: dict[str, object], where: str
) -> None:
    error = refused(**more)
    assert error.code == "invalid_task"
    assert error.where == where
    assert where in str(error)


def test_a_stale_proof_is_refused_without_a_reason_but_what_is_seen_here() -> None:
    error = refused(identity=lambda _audience: token_of(seconds=-600))
    assert error.code == "invalid_identity"
    assert "expired" not in error.message
    assert (error.hint or "").startswith("By this machine's clock the token has been expired for")


def test_a_token_for_another_broker_is_not_sent() -> None:
    error = refused(issuer="https://another.test", url=setting("URL"))
    assert error.code == "not_a_broker"
    assert setting("ISSUER") not in str(error) or "MAYFLY_ISSUER" in str(error)


def test_a_token_addressed_elsewhere_is_not_sent_and_says_whom_it_is_for() -> None:
    import base64
    import json

    claims = base64.urlsafe_b64encode(json.dumps({"aud": "https://vault.test"}).encode()).decode()
    error = refused(identity=lambda _audience: f"e30.{claims.rstrip('=')}.x")
    assert isinstance(error, mayfly.NoIdentity)
    assert "https://vault.test" in str(error)
    assert setting("ISSUER") in str(error)


def test_a_broker_that_is_not_there_is_named() -> None:
    error = refused(url="http://127.0.0.1:9")
    assert isinstance(error, mayfly.Unreachable)
    assert error.code == "broker_unreachable"
    assert "127.0.0.1:9" in str(error)
    assert error.where == "MAYFLY_URL"


def test_a_proof_is_not_sent_over_plain_http_to_another_machine() -> None:
    with pytest.raises(mayfly.MayflyError, match="plain http") as error:
        mayfly.task(goal="x", deadline="1m", url="http://broker.internal")
    assert error.value.code == "invalid_option"


def test_a_broker_that_nobody_named_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAYFLY_URL", raising=False)
    with pytest.raises(mayfly.MayflyError, match="MAYFLY_URL"):
        mayfly.task(goal="x", deadline="1m")


def test_an_error_of_a_source_of_ones_own_does_not_show_its_text() -> None:
    def broken(_audience: str) -> str:
        raise ValueError("token eyJhbGciOi")

    error = refused(identity=broken)
    assert isinstance(error, mayfly.NoIdentity)
    assert "ValueError" in str(error)
    assert "eyJ" not in str(error)


def test_a_renewal_that_cannot_be_later_says_so() -> None:
    with opened() as task:
        with pytest.raises(mayfly.MayflyError) as error:
            task.renew(task.credential(READER), "1m")
        assert error.value.code == "conflict"
        assert error.value.where == "ttl"
        assert "works until it expires" in str(error.value.hint)


def test_text_from_elsewhere_moves_no_cursor_and_hides_nothing() -> None:
    problem = Problem(
        code="denied",
        message="red \x1b[31m, back \r, turned \u202e, hidden \u200b, deleted \x7f",
        hint="first\nsecond",
    )
    text = str(mayfly.MayflyError(problem))
    assert text == "denied: red ?[31m, back ?, turned ?, hidden ?, deleted ? first\nsecond"
