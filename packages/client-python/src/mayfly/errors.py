"""What can go wrong, in words that say what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Problem:
    """The facts of an error, as the broker or this client states them. No secret is among them."""

    code: str
    """The broker's (``docs/errors.md``) or one of this client's own (``docs/sdk-python.md``)."""
    message: str
    where: str | None = None
    """The place in what was sent: ``authorization_details[0].credentials[0].role``."""
    decision: str | None = None
    """The policy engine's verdict: ``mayfly policy explain dec_…`` tells more of it."""
    determining_policies: tuple[str, ...] = ()
    hint: str | None = None
    trace: str | None = None
    """For the broker's operators: the log has the cause under it."""
    retry_after: float | None = None
    """Seconds, where the broker said that it is worth trying again."""
    status: int | None = None
    """Of the HTTP answer; None: there was none."""


class MayflyError(Exception):
    """Every failure of this package. Its text has what, where, and what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def message(self) -> str:
        return self.problem.message

    @property
    def where(self) -> str | None:
        return self.problem.where

    @property
    def decision(self) -> str | None:
        return self.problem.decision

    @property
    def determining_policies(self) -> tuple[str, ...]:
        return self.problem.determining_policies

    @property
    def hint(self) -> str | None:
        return self.problem.hint

    @property
    def trace(self) -> str | None:
        return self.problem.trace

    @property
    def retry_after(self) -> float | None:
        return self.problem.retry_after

    @property
    def status(self) -> int | None:
        return self.problem.status

    def to_dict(self) -> dict[str, object]:
        """For a structured log: only what is known."""
        return {name: value for name, value in asdict(self.problem).items() if value}

    def __str__(self) -> str:
        problem = self.problem
        text = f"{problem.code}: {problem.message}"
        if problem.where is not None and problem.where not in problem.message:
            text += f" At {problem.where}."
        if problem.decision is not None:
            text += f" Decision {problem.decision}."
        if problem.hint is not None:
            text += f" {problem.hint}"
        if problem.retry_after is not None:
            text += f" Retry after {problem.retry_after:g} s."
        return _plain(text if problem.trace is None else f"{text} (trace {problem.trace})")


def _plain(text: str) -> str:
    """Text from elsewhere moves no cursor on the terminal that shows it, and hides nothing."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


class Denied(MayflyError):
    """Policy does not permit it. Asking again changes nothing; read ``hint``."""


class Unavailable(MayflyError):
    """The broker, its ledger or the backend cannot now, and every retry is used up."""


class Unreachable(Unavailable):
    """No answer came: nobody knows whether the request was handled."""


class NoIdentity(MayflyError):
    """No source gave a token for the broker; the message has each, and why."""


class TaskLost(MayflyError):
    """The task is over, and not by this program's doing: killed, expired, or out of reach.

    Its credentials are dead or dying. Stop; do not open the same task again on your own.
    """


def raise_for(problem: Problem, *, task_known: bool = False) -> MayflyError:
    """The exception for a problem. With ``task_known`` an ended task is a lost one."""
    match problem.code:
        case "denied":
            return Denied(problem)
        case "task_ended" if task_known:
            return TaskLost(problem)
        case "broker_unreachable":
            return Unreachable(problem)
        case "not_a_broker" if problem.status in (502, 503, 504):
            # A proxy whose broker is away.
            return Unavailable(problem)
        case code if code in RETRYABLE:
            return Unavailable(problem)
        case _:
            return MayflyError(problem)


RETRYABLE = frozenset(
    {"busy", "rate_limited", "issuing_paused", "ledger_unavailable", "backend_unavailable"}
)
"""Codes under which nothing was issued and the same request may be sent again."""


def problem_of(status: int, headers: Mapping[str, str], body: object) -> Problem:
    """Reads both forms of answer: OAuth's at ``/token``, problem details (RFC 9457) elsewhere."""
    retry_after = _seconds(headers.get("retry-after"))
    if not isinstance(body, dict) or not isinstance(body.get("code"), str):
        # A proxy's page, or a server that is no broker.
        return Problem(
            code="not_a_broker",
            message=f"The answer has status {status} and is none of a Mayfly broker.",
            hint="Check MAYFLY_URL, and the proxy before the broker.",
            retry_after=retry_after,
            status=status,
        )
    policies = body.get("determining_policies")
    return Problem(
        code=str(body["code"]),
        message=_text(body, "error_description") or _text(body, "detail") or "refused",
        where=_text(body, "where"),
        decision=_text(body, "decision"),
        determining_policies=(
            tuple(str(name) for name in policies) if isinstance(policies, list) else ()
        ),
        hint=_text(body, "hint") or _text(body, "todo"),
        trace=_text(body, "trace"),
        retry_after=retry_after,
        status=status,
    )


def _text(body: Mapping[str, object], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) else None


def _seconds(value: str | None) -> float | None:
    # The broker sends seconds (RFC 9110 section 10.2.3); a proxy's date is not worth a parser.
    return float(value) if value is not None and value.isdigit() and len(value) < 6 else None


def no_identity(tried: Sequence[tuple[str, str]]) -> NoIdentity:
    lines = "".join(f"\n  {name}: {why}" for name, why in tried)
    return NoIdentity(
        Problem(
            code="no_identity",
            message=f"No source gave an identity token for the broker.{lines}\n",
            where="identity",
            hint="Set up one of these, or pass identity=.",
        )
    )
