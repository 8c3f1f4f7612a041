"""What time it is for the broker, on a machine whose own clock may be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

_DATE_IS_WITHIN_SECONDS = 2.0
"""A Date header has no fractions, and was written before it came here."""


class BrokerClock:
    """Reckoned from the Date of the broker's last answer (RFC 9110 section 6.6.1), to a second."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def heed(self, headers: Mapping[str, str]) -> None:
        """With the headers of an answer. One without a usable Date changes nothing."""
        try:
            date = parsedate_to_datetime(headers.get("date", ""))
        except ValueError:
            return
        if date.tzinfo is None:
            return
        ahead = (date - datetime.now(timezone.utc)).total_seconds()
        self._ahead = 0.0 if abs(ahead) <= _DATE_IS_WITHIN_SECONDS else ahead

    def now(self) -> float:
        """Seconds since the epoch, by the broker's clock."""
        return datetime.now(timezone.utc).timestamp() + self._ahead

    def seconds_until(self, instant: datetime) -> float:
        """Until an instant that the broker named; negative: it has passed."""
        return (instant - datetime.now(timezone.utc)).total_seconds() - self._ahead
