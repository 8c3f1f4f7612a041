"""Reports each case to whoever started pytest, as a line of JSON, the moment it is over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


class _Reporter:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed":
            # A case that was skipped was not run: nothing here may be.
            self._failed[report.nodeid] = f"{report.when}: {report.longreprtext or report.outcome}"
        if report.when != "teardown":
            return
        text = self._failed.get(report.nodeid)
        outcome = "passed" if text is None else "failed"
        line = json.dumps({"id": report.nodeid, "outcome": outcome, "text": text or ""})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def pytest_configure(config: pytest.Config) -> None:
    path = os.environ.get("MAYFLY_TEST_REPORT")
    if path is not None:
        config.pluginmanager.register(_Reporter(Path(path)))
