"""The threads of a process one by one: name, state, and what each waits in.

From outside a thread has the name that the kernel knows, which is the program's until somebody sets
another one: Python does so from 3.14 on, the pools of holdfast always. The threads of this process
also have the names that Python gave them, whatever the version.
"""

import threading
from dataclasses import dataclass

from holdfast.sense._process import Process
from holdfast.sense._psutil import ask
from holdfast.sense._system_calls import waits_in
from holdfast.sense._words import nth, whole

__all__ = ("ThreadState", "list_threads")


@dataclass(frozen=True, slots=True)
class ThreadState:
    """One thread.

    Attributes:
        tid: The number that the system gave it.
        name: What it is called; empty where nobody tells.
        state: The kernel's letter: ``"R"`` runs or could, ``"S"`` sleeps, ``"D"`` waits for a disk
            and can't be disturbed, ``"T"`` is stopped, ``"Z"`` has ended; empty where nobody tells.
        waits_in: What it sleeps in, in words: ``"a lock"``, ``"events"``, ``"a sleep"``, ``"a read"``,
            ``"accept"``, ``"a child"``, or the number of the system call; empty while it runs, and
            where it may not be read.
    """

    tid: int
    name: str
    state: str = ""
    waits_in: str = ""


def list_threads(pid: int | None = None, *, root: str = "/") -> tuple[ThreadState, ...]:
    """Return the threads of a process, in the order of their numbers.

    May be called from any thread. Two files are read for each: some milliseconds for a hundred. A
    thread that begins or ends meanwhile is told or not.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` is.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
        NotImplementedError: This is not Linux, the process is another one, and psutil is not
            installed.

    Example:
        >>> any(thread.name == "MainThread" for thread in list_threads())
        True
    """
    process = Process(pid, root)
    if not process.linux:
        return _elsewhere(process)
    try:
        names = process.names("task")
    except OSError:
        if not process.own:
            raise
        return _known_to_python()
    own = _python_names() if process.own and process.real else {}
    found = (_read(process, name, own) for name in names)
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.tid))


def _read(process: Process, name: str, own: dict[int, str]) -> ThreadState | None:
    tid = whole(name)
    text = process.machine(f"{process.machine_folder}/task/{name}/stat")
    if tid is None or text is None:
        return None
    # The name stands in brackets and may hold any others.
    before, _, after = text.rpartition(")")
    state = nth(after.split(maxsplit=1), 0)
    call = process.machine(f"{process.machine_folder}/task/{name}/syscall") if state in "SD" else ""
    told = own.get(tid) or before.partition("(")[2]
    return ThreadState(tid, told, state, waits_in(call or ""))


def _python_names() -> dict[int, str]:
    return {
        each.native_id: each.name for each in threading.enumerate() if each.native_id is not None
    }


def _known_to_python() -> tuple[ThreadState, ...]:
    return tuple(ThreadState(tid, name) for tid, name in sorted(_python_names().items()))


def _elsewhere(process: Process) -> tuple[ThreadState, ...]:
    if process.own:
        return _known_to_python()
    tids = ask(process, lambda it: [each.id for each in it.threads()])
    return tuple(ThreadState(tid, "") for tid in sorted(tids))
