"""Programs that end in other ways than leaving the block, and programs that fork."""

from __future__ import annotations

import signal
import socket
from dataclasses import replace
from pathlib import Path

from installation import line_of, logs_in, program, reason_of, state_of, until
from mayfly import process
from test_hostile import hostile
from test_traceback import answer, opening

READ = """
import os, signal, sys, threading, time, mayfly
def opened(**more):
    return mayfly.task(goal="a program", deadline="5m", credentials=["orders-db/reader"], **more)
def tell(task):
    print(task.id, task.credential("orders-db/reader").url.expose(), flush=True)
"""

WAIT = """
with opened() as task:
    tell(task)
    time.sleep(60)
"""


def test_sigterm_cancels_the_task_and_still_kills_the_program(tmp_path: Path) -> None:
    with program(tmp_path, READ + WAIT) as running:
        task, url = line_of(running).split()
        assert logs_in(url)
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == -signal.SIGTERM
    assert state_of(task) == "cancelled"
    assert reason_of(task) == "the process was told to end (SIGTERM)"
    until("the login to be refused", lambda: not logs_in(url))


def test_sigterm_kills_a_program_whose_tasks_are_on_other_threads_and_they_expire(
    tmp_path: Path,
) -> None:
    """Python lets only the main thread take a signal: there is nobody to cancel them."""
    text = (
        READ
        + """
def work():
    with opened(idle_timeout="2s") as task:
        tell(task)
        time.sleep(60)
threading.Thread(target=work).start()
time.sleep(60)
"""
    )
    with program(tmp_path, text) as running:
        task, url = line_of(running).split()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == -signal.SIGTERM
    until("the task to expire", lambda: state_of(task) == "expired")
    until("the login to be refused", lambda: not logs_in(url))


def test_a_task_of_another_thread_is_cancelled_once_the_main_one_opened_a_task(
    tmp_path: Path,
) -> None:
    text = (
        READ
        + """
def work():
    with opened() as task:
        tell(task)
        time.sleep(60)
with opened():
    pass
threading.Thread(target=work).start()
time.sleep(60)
"""
    )
    with program(tmp_path, text) as running:
        task, _url = line_of(running).split()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == -signal.SIGTERM
    assert reason_of(task) == "the process was told to end (SIGTERM)"


def test_sigint_cancels_the_task(tmp_path: Path) -> None:
    with program(tmp_path, READ + WAIT) as running:
        task, url = line_of(running).split()
        running.send_signal(signal.SIGINT)
        assert running.wait(20) != 0
    assert state_of(task) == "cancelled"
    assert reason_of(task) == "KeyboardInterrupt"
    until("the login to be refused", lambda: not logs_in(url))


def test_sigkill_ends_the_task_by_its_idle_timeout(tmp_path: Path) -> None:
    text = READ + WAIT.replace("opened()", 'opened(idle_timeout="2s")')
    with program(tmp_path, text) as running:
        task, url = line_of(running).split()
        running.kill()
        running.wait(20)
    until("the task to expire", lambda: state_of(task) == "expired")
    until("the login to be refused", lambda: not logs_in(url))


def test_an_interpreter_that_exits_with_an_open_task_cancels_it(tmp_path: Path) -> None:
    text = READ + "task = opened().__enter__()\ntell(task)\n"
    with program(tmp_path, text) as running:
        task, url = line_of(running).split()
        assert running.wait(20) == 0
    assert reason_of(task) == "the interpreter exited"
    until("the login to be refused", lambda: not logs_in(url))


def test_sys_exit_in_the_block_cancels_it_and_keeps_the_code(tmp_path: Path) -> None:
    text = READ + "with opened() as task:\n    tell(task)\n    sys.exit(7)\n"
    with program(tmp_path, text) as running:
        task, _url = line_of(running).split()
        assert running.wait(20) == 7
    assert state_of(task) == "cancelled"


def test_sigterm_cancels_a_task_of_asyncio_too(tmp_path: Path) -> None:
    text = (
        READ
        + """
import asyncio
async def main():
    async with mayfly.atask(goal="async", deadline="5m", credentials=["orders-db/reader"]) as task:
        tell(task)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    )
    with program(tmp_path, text) as running:
        task, _url = line_of(running).split()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == -signal.SIGTERM
    assert state_of(task) == "cancelled"


def test_a_handler_of_the_programs_own_is_left_alone(tmp_path: Path) -> None:
    text = (
        READ
        + """
def own(number, frame):
    sys.exit(3)
signal.signal(signal.SIGTERM, own)
with opened() as task:
    tell(task)
    time.sleep(60)
"""
    )
    with program(tmp_path, text) as running:
        task, _url = line_of(running).split()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 3
    assert reason_of(task) == "SystemExit"


def test_sigterm_while_the_main_thread_is_within_a_call_ends_all_tasks(tmp_path: Path) -> None:
    """The handler runs in the middle of whatever the program does, its locks held."""
    text = (
        READ
        + """
with opened() as task:
    tell(task)
    while True:
        task.draw("orders-db/reader")
        task.end_credential(task.credentials[-1])
"""
    )
    with program(tmp_path, text) as running:
        task, _url = line_of(running).split()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == -signal.SIGTERM
    assert state_of(task) == "cancelled"


def test_forked_children_neither_end_nor_stop_their_parents_task(tmp_path: Path) -> None:
    """One that exits, one that leaves at once, one that raises, one that is told to end."""
    text = (
        READ
        + """
def leave(how):
    if how == 0: sys.exit(0)
    if how == 1: os._exit(0)
    if how == 2: raise RuntimeError("in the child")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
with opened(idle_timeout="8s") as task:
    tell(task)
    for how in range(4):
        child = os.fork()
        if child == 0:
            leave(how)
        print(os.waitpid(child, 0)[1], flush=True)
    time.sleep(9)
    print("lost" if task.lost.is_set() else "alive", flush=True)
"""
    )
    with program(tmp_path, text) as running:
        task, _url = line_of(running).split()
        left = [line_of(running) for _ in range(4)]
        assert left == ["0", "0", "256", "15"]
        assert line_of(running) == "alive"
        assert running.wait(20) == 0
    assert state_of(task) == "completed"


def test_a_forked_child_asks_for_nothing_and_opens_tasks_of_its_own(tmp_path: Path) -> None:
    text = (
        READ
        + """
with opened() as task:
    tell(task)
    child = os.fork()
    if child == 0:
        try:
            task.draw("orders-db/reader")
        except mayfly.MayflyError as error:
            print(error.code, flush=True)
        with opened() as own:
            tell(own)
        os._exit(0)
    os.waitpid(child, 0)
"""
    )
    with program(tmp_path, text) as running:
        parent, _url = line_of(running).split()
        assert line_of(running) == "forked"
        own, url = line_of(running).split()
        assert running.wait(20) == 0
    assert own != parent
    assert state_of(own) == "completed"
    assert not logs_in(url)
    assert state_of(parent) == "completed"


def test_a_forked_child_whose_parent_died_keeps_nothing_alive(tmp_path: Path) -> None:
    text = (
        READ
        + """
with opened(idle_timeout="2s") as task:
    tell(task)
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    with program(tmp_path, text) as running:
        task, url = line_of(running).split()
        until("the task to expire", lambda: state_of(task) == "expired", 50)
        until("the login to be refused", lambda: not logs_in(url), 50)


def test_a_task_opened_on_a_worker_thread_is_ended_when_the_program_exits(tmp_path: Path) -> None:
    text = (
        READ
        + """
told = threading.Event()
def work():
    task = opened().__enter__()
    tell(task)
    told.set()
    time.sleep(60)
threading.Thread(target=work, daemon=True).start()
assert told.wait(60)
"""
    )
    with program(tmp_path, text) as running:
        task, _url = line_of(running).split()
        assert running.wait(60) == 0
    assert reason_of(task) == "the interpreter exited"


def test_a_broker_that_does_not_answer_takes_no_time_from_the_tasks_of_another() -> None:
    with hostile() as silent, hostile() as sound, socket.create_server(("127.0.0.1", 0)) as nobody:
        silent.body = sound.body = answer()
        with opening(silent) as first, opening(sound) as second:
            # From here on its connections are taken by nobody, and answered never.
            address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            first._state.broker = replace(first._state.broker, url=address)
            process.cancel_open_tasks("the test ends", 4)
            ends = [path for path, _ in sound.seen if path.endswith("/cancel")]
            assert ends == [f"/v1/tasks/{second.id}/cancel"]
            first._state.broker = replace(first._state.broker, url=silent.url)
