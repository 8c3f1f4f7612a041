"""A task on threads, as its author sees it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

import mayfly
from installation import (
    READER,
    SHORT_DOMAIN,
    WRITER,
    identity_of,
    logs_in,
    opened,
    reason_of,
    setting,
    state_of,
    until,
)


def test_a_block_has_a_login_that_works_and_is_refused_after_it() -> None:
    with opened() as task:
        credential = task.credential(READER)
        url = credential.url.expose()
        assert logs_in(url)
        assert credential.kind == "postgres-password"
        assert credential.revocation == "immediate"
        assert credential.expires_at <= task.deadline
        assert task.deadline - datetime.now(timezone.utc) < timedelta(minutes=5, seconds=5)
    assert not logs_in(url)
    assert state_of(task.id) == "completed"
    assert task.ended is not None
    assert task.ended.is_revoked
    assert [lease.outcome for lease in task.ended.leases] == ["revoked"]


class OutOfPaperError(Exception):
    pass


def test_an_exception_fails_the_task_with_its_class_and_not_its_text() -> None:
    with pytest.raises(OutOfPaperError, match="customer 4711"), opened() as task:
        url = task.credential(READER).url.expose()
        raise OutOfPaperError("customer 4711")
    assert state_of(task.id) == "failed"
    assert reason_of(task.id) == "OutOfPaperError"
    assert not logs_in(url)


def test_the_text_of_an_exception_is_told_when_that_is_asked() -> None:
    opening = mayfly.task(
        goal="tell",
        deadline="5m",
        identity=identity_of(),
        url=setting("URL"),
        issuer=setting("ISSUER"),
        report_error_text=True,
    )
    with pytest.raises(OutOfPaperError), opening as task:
        raise OutOfPaperError("tray 2")
    assert reason_of(task.id) == "OutOfPaperError: tray 2"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_cancels_the_task(kind: type[BaseException]) -> None:
    with pytest.raises(kind), opened() as task:
        raise kind
    assert state_of(task.id) == "cancelled"
    assert reason_of(task.id) == kind.__name__


def test_a_task_may_end_before_its_block() -> None:
    with opened() as task:
        ended = task.fail("found nothing to do")
        assert ended.state == "failed"
        with pytest.raises(mayfly.TaskLost):
            task.credential(READER)
        # The block is left without an error: the program did end it itself.
        assert task.complete() is ended


def test_a_declared_credential_is_drawn_when_it_is_needed() -> None:
    later: mayfly.CredentialRequest = {"role": WRITER, "issue": "later", "ttl": "2m"}
    with opened(credentials=[READER, later]) as task:
        assert [one.role for one in task.credentials] == [READER]
        with pytest.raises(mayfly.MayflyError, match="draw it") as missing:
            task.credential(WRITER)
        assert missing.value.code == "no_credential"
        drawn = task.draw(WRITER)
        assert logs_in(drawn.url.expose())
        assert drawn.expires_at - datetime.now(timezone.utc) <= timedelta(minutes=2)
        assert task.credential(WRITER) is drawn


def test_what_was_not_declared_is_not_drawn() -> None:
    with opened() as task:
        with pytest.raises(mayfly.MayflyError) as refused:
            task.draw(WRITER)
        assert refused.value.code == "invalid_task"
        assert refused.value.where == "authorization_details[0].credentials[0].role"
        assert refused.value.status == 400


def test_a_credential_is_renewed_and_its_secret_stays() -> None:
    with opened(credentials=[{"role": READER, "issue": "later"}]) as task:
        first = task.draw({"role": READER, "ttl": 30})
        renewed = task.renew(first, "4m")
        assert renewed.expires_at > first.expires_at + timedelta(minutes=2)
        assert renewed.url is first.url
        assert task.credential(READER) is renewed


def test_one_credential_is_ended_and_the_task_goes_on() -> None:
    with opened(credentials=[READER, WRITER]) as task:
        writer = task.credential(WRITER)
        task.end_credential(writer)
        until("the login to be refused", lambda: not logs_in(writer.url.expose()))
        assert logs_in(task.credential(READER).url.expose())
        assert [one.role for one in task.credentials] == [READER]


def test_a_child_narrows_and_ends_before_its_parent() -> None:
    with opened() as parent:
        with parent.child(goal="half of it", deadline="1m", credentials=[READER]) as child:
            inner = child.credential(READER).url.expose()
            assert logs_in(inner)
        assert not logs_in(inner)
        assert logs_in(parent.credential(READER).url.expose())
        with (
            pytest.raises(mayfly.MayflyError, match="did not declare") as wider,
            parent.child(goal="more", deadline="1m", credentials=[WRITER]),
        ):
            pass
        assert wider.value.code == "invalid_task"


def test_a_child_of_another_workload_proves_itself() -> None:
    with opened() as parent:
        child = parent.child(
            goal="help", deadline="1m", credentials=[READER], identity=identity_of("wasp")
        )
        with child as helper:
            assert logs_in(helper.credential(READER).url.expose())
        assert state_of(helper.id) == "completed"


def test_the_end_of_a_parent_ends_a_child_and_the_child_learns_it() -> None:
    with opened() as parent:
        child = parent.child(
            goal="half of it", deadline="1m", credentials=[READER], idle_timeout="4s"
        )
        with pytest.raises(mayfly.TaskLost), child as inner:
            url = inner.credential(READER).url.expose()
            parent.complete()
            assert not logs_in(url)
            assert inner.lost.wait(60)


def test_many_threads_draw_at_once() -> None:
    later: mayfly.CredentialRequest = {"role": READER, "issue": "later"}
    with opened(credentials=[later]) as task:
        start = threading.Barrier(6)

        def draw() -> str:
            start.wait(60)
            return task.draw(READER).url.expose()

        with ThreadPoolExecutor(6) as pool:
            urls = list(pool.map(lambda _: draw(), range(6)))
        assert len(set(urls)) == 6
        assert len(task.credentials) == 6
        assert all(logs_in(url) for url in urls)
    assert not any(logs_in(url) for url in urls)


def test_heartbeats_keep_a_task_alive_beyond_its_idle_timeout() -> None:
    with opened(idle_timeout="8s") as task:
        assert task.idle_timeout_seconds == 8
        assert not task.lost.wait(11)
        assert logs_in(task.credential(READER).url.expose())


def test_identity_is_proven_afresh_before_its_proof_is_too_old() -> None:
    seconds = int(setting("PROOF_SECONDS"))
    with opened(domain=SHORT_DOMAIN, idle_timeout="8s") as task:
        first = task.token.expose()
        assert not task.lost.wait(seconds + 1.5)
        assert task.token.expose() != first
        assert logs_in(task.credential(READER).url.expose())


def test_an_opening_is_entered_once() -> None:
    opening = opened(credentials=[])
    with opening:
        pass
    with pytest.raises(RuntimeError, match="opened once"), opening:
        pass


def test_a_credential_of_another_kind_than_asked_says_which_it_is() -> None:
    with opened() as task:
        assert task.credential(READER, mayfly.Credential) is task.credential(READER)
        with pytest.raises(mayfly.MayflyError, match="mayfly.PostgresPassword"):
            task.credential(READER, mayfly.OtherCredential)


def test_a_role_that_is_not_held_names_those_that_are() -> None:
    with opened() as task, pytest.raises(mayfly.MayflyError, match=f"it holds {READER}"):
        task.credential("orders-db/raeder")


def test_libpqs_variables_are_those_of_the_login() -> None:
    with opened() as task:
        credential = task.credential(READER)
        variables = credential.environment()
        assert variables["PGUSER"] == credential.username
        assert variables["PGPASSWORD"] == credential.password.expose()
        assert logs_in(variables["DATABASE_URL"])


def test_a_task_is_opened_by_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    from installation import token_of

    monkeypatch.setenv("MAYFLY_URL", setting("URL"))
    monkeypatch.setenv("MAYFLY_ISSUER", setting("ISSUER"))
    monkeypatch.setenv("MAYFLY_IDENTITY_TOKEN", token_of())
    with mayfly.task(goal="by the environment", deadline=timedelta(minutes=5)) as task:
        assert state_of(task.id) == "active"
