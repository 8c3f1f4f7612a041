"""What a task asks for, as the broker reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias, TypedDict

Duration: TypeAlias = str | int | timedelta
"""``"15m"``, seconds, or a timedelta. The broker judges it."""


class _Role(TypedDict):
    role: str


class CredentialRequest(_Role, total=False):
    """A credential with more than its role."""

    params: Mapping[str, object]
    """What the backend type allows to narrow."""
    ttl: Duration
    """The longest that one credential lives in all, renewals included."""
    issue: Literal["now", "later"]
    """``later``: declared now, drawn with ``task.draw`` when it is needed."""


Wanted: TypeAlias = str | CredentialRequest


@dataclass(frozen=True)
class Descriptor:
    goal: str
    deadline: Duration
    credentials: Sequence[Wanted]
    idle_timeout: Duration
    ref: str | None
    targets: Sequence[str]
    initiator: str | None

    def to_json(self, parent: str | None) -> dict[str, object]:
        optional = {"ref": self.ref, "initiator": self.initiator, "parent": parent}
        return {
            "type": "mayfly-task",
            "goal": self.goal,
            "deadline": duration_json(self.deadline),
            "idle_timeout": duration_json(self.idle_timeout),
            "targets": list(self.targets),
            "credentials": [credential_json(one) for one in self.credentials],
            **{name: value for name, value in optional.items() if value is not None},
        }


def credential_json(wanted: Wanted) -> dict[str, object]:
    if isinstance(wanted, str):
        return {"role": wanted}
    members: dict[str, object] = dict(wanted)
    if "ttl" in wanted:
        members["ttl"] = duration_json(wanted["ttl"])
    return members


def duration_json(duration: Duration) -> str | int:
    if not isinstance(duration, timedelta):
        return duration
    # Never longer than was meant; below a second the broker says what is wrong.
    return int(duration.total_seconds())


def details_json(members: Mapping[str, object]) -> str:
    """``authorization_details`` (RFC 9396): one object."""
    return json.dumps([members], ensure_ascii=True, allow_nan=False, separators=(",", ":"))
