"""The processes that the demo starts, and how each of them ends: always.

Both children get a process group of their own, so that Ctrl-C in the terminal reaches only the
demo. It passes the signal on to `holdfast map`, which then finishes what is in flight, and for that
it needs the model server until the end.
"""

import contextlib
import json
import re
import select
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from types import FrameType
from typing import IO, Any, cast

AGENT = f"{Path(__file__).resolve().parent / 'agent.py'}:answer"
READY_S = 20.0  # how long a server may take until it listens
END_S = 5.0  # how long a process may take to end after SIGTERM
LATENCY = "uniform:0.02:0.2"  # seconds; a small model on a good day
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """The demo can't go on; the message is one sentence for the user."""


@contextlib.contextmanager
def ending_on_signals() -> Generator[None, None, None]:
    """Make SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that everything is closed."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {n: signal.signal(n, leave) for n in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def model_server(port: int) -> Generator[str, None, None]:
    """Run the local model server for the length of the block, and yield its URL.

    Raises:
        DemoError: It did not start.
    """
    command = [sys.executable, "-m", "holdfast.testing.model_server"]
    # The pipe to its standard input closes even if this process is killed.
    options = ["--port", str(port), "--latency", LATENCY, "--until-stdin-closes", "--json"]
    with contextlib.ExitStack() as stack:
        with signals_deferred():
            process = subprocess.Popen(  # noqa: S603 - this Python, and what stands above
                [*command, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                process_group=0,
            )
            stack.callback(end, process)
        yield read_url(process)


def read_url(process: subprocess.Popen[bytes]) -> str:
    """Wait for the line in which a server says where it listens."""
    stream = cast("IO[bytes]", process.stdout)
    ready, _, _ = select.select([stream], [], [], READY_S)
    line = stream.readline().decode(errors="replace").strip() if ready else ""
    found = re.search(r"https?://[^\s'\"]+", line)
    if found:
        return found.group().rstrip("/.,")
    if not ready:
        how = f"it did not say where it listens within {READY_S:g} s"
    elif line:
        how = f"it said {line!r}, which is no address"
    else:
        how = f"it ended with exit code {process.wait(END_S)}"
    message = f"the model server did not start: {how}"
    raise DemoError(message)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that may have ended before, and collect it."""
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def run_map(folder: Path, limit: int, environment: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Run ``holdfast map`` over a folder's tickets to its end, its progress on the terminal.

    Returns:
        Its exit code, and the summary that ``--json`` printed (empty if it did not get that far).
    """
    command = [sys.executable, "-m", "holdfast", "map", AGENT, str(folder / "tickets.jsonl")]
    options = ["-o", str(folder / "answers.jsonl"), "--key", "id", "--limit", str(limit)]
    options += ["--retries", "2", "--timeout", "120", "--json"]
    with contextlib.ExitStack() as stack:
        summary = stack.enter_context((folder / "summary.json").open("w+b"))
        with signals_deferred():
            process = subprocess.Popen(  # noqa: S603 - this Python, and what stands above
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=summary,
                env=dict(environment),
                process_group=0,
            )
            stack.callback(end, process)
        with signals_forwarded(process):
            code = process.wait()
        summary.seek(0)
        text = summary.read()
    return code, json.loads(text) if text.strip() else {}


@contextlib.contextmanager
def signals_deferred() -> Generator[None, None, None]:
    """Keep signals back for as long as it takes to start a child and to note that it must end."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in FORWARDED}
    for number in FORWARDED:
        signal.signal(number, lambda caught, _frame: came.append(caught))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


@contextlib.contextmanager
def signals_forwarded(process: subprocess.Popen[bytes]) -> Generator[None, None, None]:
    """Pass the signals that would end this process on to a child, which knows how to stop."""

    def forward(number: int, _frame: FrameType | None) -> None:
        process.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
