"""What happens to the open tasks of a process that ends, or forks."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import threading
import time
from types import FrameType

from .drive import Driver
from .ending import end_task
from .state import TaskState

_SECONDS_MAX = 5.0
# SIGINT is an exception of Python's own, which leaves the block.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
log = logging.getLogger("mayfly")

_open: dict[str, TaskState] = {}
_is_prepared = False
_pid = os.getpid()


def register(state: TaskState, on_signals: bool) -> None:
    """From now on the task is cancelled when this process ends in a way that can be noticed."""
    _open[state.id] = state
    _prepare()
    if on_signals:
        _take_signals()


def unregister(state: TaskState) -> None:
    _open.pop(state.id, None)


def cancel_open_tasks(reason: str, seconds_max: float = _SECONDS_MAX) -> None:
    """Cancels every task that is open in this process, waiting for no revocation. Never raises:
    what it does not reach ends by its idle timeout."""
    until = time.monotonic() + seconds_max
    states = list(_open.values())
    _open.clear()
    for n, state in enumerate(states):
        # A share each: one broker that does not answer takes no time from the tasks of another.
        share = (until - time.monotonic()) / (len(states) - n)
        if not state.is_here() or share <= 0:
            continue
        try:
            with Driver(state.broker) as driver:
                driver.run(end_task(state, "cancel", reason, 0, hurry_seconds=share))
        except Exception:
            # Of an interpreter that ends, anything may fail; the next task is tried all the same.
            log.warning(
                "task %s was not cancelled, its idle timeout ends it", state.id, exc_info=True
            )


def _prepare() -> None:
    global _is_prepared
    if not _is_prepared:
        _is_prepared = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget)


def _at_exit() -> None:
    # A forked child that did not pass through os.fork has the list all the same.
    if os.getpid() == _pid:
        cancel_open_tasks("the interpreter exited")


def _forget() -> None:
    """In a forked child. The tasks are the parent's: it heartbeats, and it ends them."""
    global _pid
    _pid = os.getpid()
    _open.clear()
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is _on_signal:
                signal.signal(number, signal.SIG_DFL)


def _take_signals() -> None:
    """Only where nobody else handles it: Python would die of it without a word to the broker."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        # Of an interpreter within another program even the main one may not.
        with contextlib.suppress(ValueError):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _on_signal)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    """Cancels, then dies of the signal as if nobody had handled it. The calls are made on another
    thread: what this one was doing may hold a lock that they need."""
    reason = f"the process was told to end ({signal.Signals(number).name})"
    ending = threading.Thread(target=cancel_open_tasks, args=(reason,), daemon=True)
    try:
        ending.start()
        ending.join(_SECONDS_MAX + 1)
    finally:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
