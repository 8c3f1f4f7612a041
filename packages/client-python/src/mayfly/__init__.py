"""Credentials that live as long as the task.

::

    with mayfly.task(
        goal="Reconcile invoices", credentials=["orders-db/reader"], deadline="15m"
    ) as task:
        dsn = task.credential("orders-db/reader").url.expose()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import identity as identity
from .broker import Broker, find_broker
from .credential import AccessToken, Credential, OtherCredential, PostgresPassword
from .descriptor import CredentialRequest, Descriptor, Duration, Wanted
from .errors import Denied, MayflyError, NoIdentity, Problem, TaskLost, Unavailable, Unreachable
from .flows import open_task
from .holding import END_WAIT_SECONDS, IDLE_TIMEOUT, OPEN_SECONDS_MAX, PersonToken, person_secret
from .identity import IdentitySource
from .process import cancel_open_tasks
from .secret import Secret
from .state import EndedLease, EndedTask, TaskState
from .steps import Flow
from .task import OpeningTask, Task
from .task_async import AsyncTask, OpeningAsyncTask

__all__ = [
    "AccessToken",
    "AsyncTask",
    "Credential",
    "CredentialRequest",
    "Denied",
    "Duration",
    "EndedLease",
    "EndedTask",
    "IdentitySource",
    "MayflyError",
    "NoIdentity",
    "OpeningAsyncTask",
    "OpeningTask",
    "OtherCredential",
    "PostgresPassword",
    "Problem",
    "Secret",
    "Task",
    "TaskLost",
    "Unavailable",
    "Unreachable",
    "Wanted",
    "atask",
    "cancel_open_tasks",
    "identity",
    "task",
]

IdentityChoice = str | IdentitySource | Callable[[str], str] | None


def task(
    *,
    goal: str,
    deadline: Duration,
    credentials: Sequence[Wanted] = (),
    idle_timeout: Duration = IDLE_TIMEOUT,
    ref: str | None = None,
    targets: Sequence[str] = (),
    initiator: str | None = None,
    on_behalf_of: PersonToken | None = None,
    url: str | None = None,
    issuer: str | None = None,
    identity: IdentityChoice = None,
    unsafe_plain_http: bool = False,
    dpop: bool | None = None,
    end_wait_seconds: float = END_WAIT_SECONDS,
    report_error_text: bool = False,
    end_on_signals: bool = True,
) -> OpeningTask:
    """A task for a ``with`` block: opened and kept alive there, and ended when the block is left.

    :param goal: what the task is for; evidence in the ledger, and no authority.
    :param deadline: when it ends whatever happens: ``"15m"``, seconds, a timedelta.
    :param credentials: roles, or :class:`CredentialRequest` where more is to be said.
    :param idle_timeout: how long it outlives this process when that is killed.
    :param ref: your own reference, such as a ticket.
    :param targets: what it may touch, as ``<backend>:<what>``, for policies.
    :param initiator: who asked for it, as a claim; policies never see it.
    :param on_behalf_of: the token of the person who asked, which policies do see.
    :param url: the broker; default ``MAYFLY_URL``.
    :param issuer: what it calls itself, where that is not its URL; default ``MAYFLY_ISSUER``.
    :param identity: a source, its name, or a function of the audience; default: it is found.
    :param unsafe_plain_http: lets tokens travel over plain http to another machine.
    :param dpop: whether the task's token is bound to a key of its own, in this process's memory
        alone (RFC 9449): who copies the token cannot use it. Default: where the broker offers it
        and the extra ``dpop`` is installed; True makes it an error where it cannot be.
    :param end_wait_seconds: seconds that leaving may wait until the credentials are refused.
    :param report_error_text: whether the ledger may have the text of the exception that left the
        block; its class is recorded in any case.
    :param end_on_signals: whether SIGTERM and SIGHUP cancel the task before they end the process,
        where nobody else handles them.
    """
    broker = find_broker(url, issuer, identity, unsafe_plain_http, dpop)
    descriptor = Descriptor(goal, deadline, credentials, idle_timeout, ref, targets, initiator)
    opening = _opening(broker, descriptor, on_behalf_of)
    return OpeningTask(opening, broker, end_wait_seconds, report_error_text, end_on_signals)


def atask(
    *,
    goal: str,
    deadline: Duration,
    credentials: Sequence[Wanted] = (),
    idle_timeout: Duration = IDLE_TIMEOUT,
    ref: str | None = None,
    targets: Sequence[str] = (),
    initiator: str | None = None,
    on_behalf_of: PersonToken | None = None,
    url: str | None = None,
    issuer: str | None = None,
    identity: IdentityChoice = None,
    unsafe_plain_http: bool = False,
    dpop: bool | None = None,
    end_wait_seconds: float = END_WAIT_SECONDS,
    report_error_text: bool = False,
    end_on_signals: bool = True,
) -> OpeningAsyncTask:
    """The same as :func:`task`, for ``async with`` on asyncio."""
    broker = find_broker(url, issuer, identity, unsafe_plain_http, dpop)
    descriptor = Descriptor(goal, deadline, credentials, idle_timeout, ref, targets, initiator)
    opening = _opening(broker, descriptor, on_behalf_of)
    return OpeningAsyncTask(opening, broker, end_wait_seconds, report_error_text, end_on_signals)


def _opening(
    broker: Broker, descriptor: Descriptor, on_behalf_of: PersonToken | None
) -> Callable[[], Flow[TaskState]]:
    person = person_secret(on_behalf_of)
    return lambda: open_task(broker, descriptor, person, OPEN_SECONDS_MAX)
