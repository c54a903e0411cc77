"""Programs in processes of their own, some under a limit on threads, that report what became of them.

A program is a source text. It begins with ``from tests.system.failure_programs import report`` (or
``enter_thread_limit``), and ends by reporting its figures. Whatever becomes of it, killed, hung or
silent, is a result that the test judges.
"""

import contextlib
import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = (
    "Ended",
    "Started",
    "ThreadLimit",
    "enter_thread_limit",
    "join_workers",
    "live_workers",
    "memory_mib",
    "peak_memory_mib",
    "report",
    "run_program",
    "say",
    "say_when_it_waits",
    "start_program",
    "thread_limit",
    "wait_until",
)

ROOT = Path(__file__).resolve().parents[2]
_MARK = "figures: "
_LIMIT = "THREAD_LIMIT"
PATIENCE = 40.0
"""Seconds after which a program counts as hung; nothing here takes a quarter of that."""


# ---------------------------------------------------------------- inside a program


def report(**figures: object) -> None:
    """Tell the test; needs no thread and no further descriptor."""
    os.write(1, f"\n{_MARK}{json.dumps(figures, default=repr)}\n".encode())


def say(word: str) -> None:
    """Tell the test how far the program is, on standard error."""
    os.write(2, f"{word}\n".encode())


def say_when_it_waits(word: str) -> None:
    """Say ``word`` as soon as the main thread stands still: it waits for something.

    One that has not got its turn on a busy machine stands still too, but it does not sleep.
    """
    main = threading.main_thread().ident
    assert main is not None

    def watch() -> None:
        still, place = 0, None
        while still < 30:
            frame = sys._current_frames().get(main)  # none between the program and its exit
            here = frame and (frame, frame.f_lasti)
            still = still + 1 if here and place == here and _sleeps() else 0
            place = here
            del frame, here
            threading.Event().wait(0.001)
        del place
        say(word)

    threading.Thread(target=watch, daemon=True).start()


def _sleeps() -> bool:
    """Whether the main thread waits in the kernel, as far as can be told here."""
    try:
        status = Path(f"/proc/self/task/{os.getpid()}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(") ")[2].startswith("S")


def live_workers() -> list[threading.Thread]:
    """Return the worker threads of all pools that are alive now."""
    others = ("holdfast:timer", "holdfast:loop")
    return [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("holdfast:") and thread.name not in others
    ]


def join_workers() -> None:
    """Wait until they have all ended, each by itself."""
    for thread in live_workers():
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"{thread.name} does not end"


def wait_until(happened: Callable[[], object]) -> None:
    """Look again and again, where there is no event to wait for."""
    for _ in range(20_000):
        if happened():
            return
        threading.Event().wait(0.001)
    message = "it never happened"
    raise AssertionError(message)


def peak_memory_mib() -> float:
    """Return the most memory that this process has ever held."""
    return _status("VmHWM") / 1024


def memory_mib() -> float:
    """Return the memory that this process holds now."""
    return _status("VmRSS") / 1024


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise LookupError(field)


def enter_thread_limit() -> None:
    """Put this process under the limit that the test has made for it; everything is imported by now."""
    kind, _, value = os.environ[_LIMIT].partition("=")
    if kind == "cgroup":
        (Path(value) / "cgroup.procs").write_text(str(os.getpid()))
    else:
        limit = int(value) + _tasks_of_this_user()
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def _tasks_of_this_user() -> int:
    """Threads that count towards RLIMIT_NPROC besides this process's own."""
    own, tasks = os.getuid(), 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):
                if process.stat().st_uid == own:
                    tasks += len(list((process / "task").iterdir()))
    return tasks


# ---------------------------------------------------------------- the test's side


@dataclass
class Ended:
    """How a program ended: exit code (negative: the signal), standard error, what it reported."""

    code: int
    said: str
    figures: dict[str, object] = field(default_factory=dict)


class Started:
    """A program that runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._said: list[str] = []

    def wait_for(self, word: str) -> None:
        """Read what it says until it says ``word``."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said.append(line)
            if word in line:
                return
        message = f"it ended without saying {word!r}: {''.join(self._said)}"
        raise AssertionError(message)

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> Ended:
        """Wait for its end; a program that hangs shows its stacks and fails the test."""
        try:
            out, said = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler shows where each thread is
            out, said = self.process.communicate()
            message = f"the program hangs:\n{''.join(self._said)}{said}"
            raise AssertionError(message) from None
        lines = [line for line in out.splitlines() if line.startswith(_MARK)]
        figures = json.loads(lines[-1].removeprefix(_MARK)) if lines else {}
        return Ended(self.process.returncode, "".join(self._said) + said, figures)


@dataclass(frozen=True)
class ThreadLimit:
    """A limit on threads for one process: how it gets there, and what it is started with."""

    variable: str
    prefix: tuple[str, ...] = ()


@contextlib.contextmanager
def start_program(
    source: str, *arguments: object, limit: ThreadLimit | None = None
) -> Generator[Started]:
    """Start ``source`` in a process of its own, which does not outlive the block."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_path()])}
    prefix: tuple[str, ...] = ()
    if limit is not None:
        env[_LIMIT] = limit.variable
        prefix = limit.prefix
    process = subprocess.Popen(  # noqa: S603 - the program under test
        [*prefix, sys.executable, "-X", "faulthandler", "-c", source, *map(str, arguments)],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Started(process)
        finally:
            if process.poll() is None:
                process.kill()


def _path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def run_program(source: str, *arguments: object, limit: ThreadLimit | None = None) -> Ended:
    """Run ``source`` to its end; it must exit with 0."""
    with start_program(source, *arguments, limit=limit) as program:
        ended = program.end()
    assert ended.code == 0, ended.said
    return ended


# ---------------------------------------------------------------- limits on threads

_PROBE = """
import threading
from tests.system.failure_programs import enter_thread_limit, report
enter_thread_limit()
done = threading.Event()
refused = 0
for _ in range(8):
    try:
        threading.Thread(target=done.wait).start()
    except RuntimeError:
        refused += 1
done.set()
report(refused=refused)
"""


@contextlib.contextmanager
def thread_limit(kind: str, threads: int) -> Generator[ThreadLimit]:
    """Make a limit of ``threads`` for one process, its first thread included; or skip the test.

    Args:
        kind: ``"pids.max"``, a control group, or ``"RLIMIT_NPROC"``, which does not bind root.
        threads: How many.
    """
    making = _group_limit if kind == "pids.max" else _user_limit
    with contextlib.ExitStack() as stack:
        try:
            _check_that_it_binds(stack.enter_context(making(4)))
            limit = stack.enter_context(making(threads))
        except OSError as why:
            import pytest  # a program that is under test has no need of it

            pytest.skip(f"no limit by {kind} here: {why}")
        yield limit


def _check_that_it_binds(limit: ThreadLimit) -> None:
    with start_program(_PROBE, limit=limit) as program:
        ended = program.end()
    if ended.code or not ended.figures.get("refused"):
        raise OSError(errno.ENOTSUP, f"the limit does not bind here; {ended.said[-300:]}")


@contextlib.contextmanager
def _group_limit(threads: int) -> Generator[ThreadLimit]:
    base = Path("/sys/fs/cgroup/pids")
    if not base.is_dir():
        base = Path("/sys/fs/cgroup")
        if "pids" not in (base / "cgroup.controllers").read_text().split():
            raise OSError(errno.ENOTSUP, "there is no pids controller")
        (base / "cgroup.subtree_control").write_text("+pids")
    group = base / f"holdfast-test-{os.getpid()}-{random.randrange(1 << 30):x}"
    group.mkdir()
    try:
        (group / "pids.max").write_text(str(threads))
        yield ThreadLimit(f"cgroup={group}")
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    """The kernel lets go of a process a moment after it was waited for."""
    for _ in range(500):
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            threading.Event().wait(0.01)
        else:
            return
    raise OSError(errno.EBUSY, f"{group} can't be removed")


@contextlib.contextmanager
def _user_limit(threads: int) -> Generator[ThreadLimit]:
    prefix: tuple[str, ...] = ()
    if os.getuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise OSError(errno.ENOTSUP, "root is not bound, and there is no setpriv")
        user = random.randrange(50_000, 60_000)  # one that nobody else is
        # So that an interpreter in a private home still starts; neither lifts the limit.
        reading = "+dac_override,+dac_read_search"
        prefix = (
            *(setpriv, f"--reuid={user}", f"--regid={user}", "--clear-groups"),
            *(f"--inh-caps={reading}", f"--ambient-caps={reading}"),
        )
    yield ThreadLimit(f"rlimit={threads}", prefix)
