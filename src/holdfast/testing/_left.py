"""What was left behind, with a label to allow it by, and the line that made it."""

import linecache
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from holdfast.sense.descriptor_kinds import Descriptor, open_descriptors
from holdfast.sense.process_tree import process_state
from holdfast.testing._allowed import Allowed
from holdfast.testing._held import Held, Identity, child_pids
from holdfast.testing._lines import Lines, Place, label_of

__all__ = ("Left", "left_behind", "report")


@dataclass(frozen=True, slots=True)
class Left:
    """One thing that was left behind.

    Attributes:
        kind: ``"thread"``, ``"task"``, ``"child"``, ``"descriptor"`` or ``"socket"``.
        label: What it is: a thread's name, a path, a peer.
        place: The line that made it; None if nobody saw it.
        more: What else is known.
    """

    kind: str
    label: str
    place: Place | None
    more: str = ""

    def __str__(self) -> str:
        told = f"{self.kind} {self.label}"
        if self.more:
            told += f" ({self.more})"
        if self.place is None:
            return f"{told}\n      made where nobody saw it: by C code, or before the check began"
        file, line, function = self.place
        told += f"\n      made at {_relative(file)}:{line} in {function}"
        source = linecache.getline(file, line).strip()
        return f"{told}\n        {source}" if source else told


def left_behind(before: Held, after: Held, lines: Lines) -> list[Left]:
    """Return what is held after and was not before."""
    return [
        *_threads(before, after, lines),
        *_tasks(lines),
        *_children(lines),
        *_descriptors(before, after, lines),
    ]


def _threads(before: Held, after: Held, lines: Lines) -> Iterator[Left]:
    for thread in after.threads - before.threads:
        # One that C code has started, and that has called into Python, has no target of its own.
        if not isinstance(thread, threading._DummyThread):  # noqa: SLF001 - no other name for it
            yield Left("thread", thread.name, lines.threads.get(thread), _where(thread))


def _where(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - the documented name
    if frame is None:
        return ""
    return (
        f"now at {_relative(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_name}"
    )


def _tasks(lines: Lines) -> Iterator[Left]:
    for label, place in lines.cut_off:
        yield Left("task", label, place, "still running when its loop ended, and cancelled there")
    for ref, place in lines.tasks:
        task = ref()
        if task is not None and not task.done() and not task.get_loop().is_closed():
            yield Left("task", label_of(task), place, "still running")


def _children(lines: Lines) -> Iterator[Left]:
    if not lines.children:
        return  # to look for them costs more than all the rest
    for pid in sorted(child_pids() & lines.children.keys()):
        try:
            state = process_state(pid)
        except (OSError, NotImplementedError):
            continue  # it has ended, and somebody has waited for it
        ended = ", ended and not waited for" if state.state == "Z" else ""
        yield Left("child", state.command or state.name, lines.children[pid], f"pid {pid}{ended}")


def _descriptors(before: Held, after: Held, lines: Lines) -> Iterator[Left]:
    new = {fd for fd, what in after.fds.items() if before.fds.get(fd) != what}
    if not new:
        return
    helper = _tracker_fd()
    found = [each for each in open_descriptors() if each.fd in new and each.fd != helper]
    places = {each.fd: _opened(each, after.fds[each.fd], lines) for each in found}
    kept = _pipe_of_libuv([each for each in found if places[each.fd] is None])
    for each in found:
        if each.target not in kept:
            kind = "socket" if each.kind == "socket" else "descriptor"
            yield Left(kind, _label(each), places[each.fd], f"fd {each.fd}")


def _pipe_of_libuv(unseen: list[Descriptor]) -> set[str]:
    """The pipe for signals that libuv makes with its first loop and keeps for good: both ends, in C."""
    if "uvloop" not in sys.modules:
        return set()
    ends = Counter(each.target for each in unseen if each.kind == "pipe")
    return {target for target, count in ends.items() if count > 1}


def _label(each: Descriptor) -> str:
    it = each.socket
    if it is None:
        return f"{each.kind} {each.target}" if each.target.startswith("/") else each.kind
    if it.family == "other":
        return "without an address"
    address = f"to {it.peer}" if it.peer else f"at {it.local}" if it.local else ""
    return " ".join(word for word in (it.family, it.state, address) if word)


def _opened(each: Descriptor, what: Identity, lines: Lines) -> Place | None:
    """A number may have been closed and taken again since: then it leads to another file."""
    place, opened = lines.fds.get(each.fd, (None, None))
    return place if opened == what else lines.paths.get(_database(each.target))


def _database(path: str) -> str:
    for beside in ("-wal", "-shm", "-journal"):
        path = path.removesuffix(beside)
    return path


def _tracker_fd() -> int | None:
    """The pipe to a helper that multiprocessing starts once and keeps."""
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    found = getattr(getattr(tracker, "_resource_tracker", None), "_fd", None)
    return found if isinstance(found, int) else None


def report(left: Sequence[Left], allowed: Iterable[Allowed]) -> str:
    """Return the text for what may not stay; empty if all of it may."""
    entries = tuple(allowed)
    bad = [each for each in left if not any(it.fits(each.kind, each.label) for it in entries)]
    if not bad:
        return ""
    lines = [f"holdfast: this test left {len(bad)} thing{'s' if len(bad) != 1 else ''} behind"]
    lines += [f"  - {each}" for each in bad]
    lines.append(
        "  Close it, or allow it with a reason:"
        f' @pytest.mark.holdfast(allow={{"{bad[0].kind} {bad[0].label}": "why it may stay"}})'
    )
    return "\n".join(lines)


def _relative(file: str) -> str:
    short = os.path.relpath(file)
    return file if short.startswith("..") else short
