"""Findings about descriptors that are neither files nor connections: pipes, loops, and the rest."""

from collections.abc import Iterator
from typing import Final

from holdfast.watch._words import counted, tallied
from holdfast.watch.finding import Finding
from holdfast.watch.look import Look

__all__ = ("of_kinds",)

_PIPES, _MANY_PIPES = 20, 50
# Standard input, output and error of a child, and what a pool of processes has besides.
_PIPES_OF_A_CHILD: Final = 4
_LOOPS, _MANY_LOOPS = 8, 30

# From how many on a kind is worth a word, and what it comes from.
_OTHERS: Final = {
    "eventfd": (200, "each is a wake-up of a thread or a loop that was not closed", "Close loops."),
    "inotify": (
        32,
        "each is a watcher of files that was not stopped; a user may have 128 of them",
        "Stop watchers; use one for the program.",
    ),
    "directory": (
        64,
        "a folder that is listed by `os.scandir` stays open until the listing is read or closed",
        "Use `with os.scandir(...)`, and close what `os.open` gave.",
    ),
    "timerfd": (100, "each is a timer that was not closed", "Close timers."),
    "signalfd": (100, "each is a way to hear of signals that was not closed", "Close them."),
    "pidfd": (100, "each is a child that is watched and was not closed", "Close them."),
    "memfd": (100, "each is a piece of shared memory that was not closed", "Close them."),
    "device": (100, "a device is opened for each use and not closed again", "Close it."),
    "other": (200, "the kernel has no common name for them", "See what they are: `evidence`."),
}


def of_kinds(look: Look) -> Iterator[Finding]:
    """Yield what pipes, loops and other kinds tell."""
    yield from _pipes(look)
    kinds = tallied(each.kind for each in look.descriptors)
    yield from _loops(kinds.get("epoll", 0))
    for kind, (enough, means, do) in _OTHERS.items():
        count = kinds.get(kind, 0)
        if count >= enough:
            plural = "directories" if kind == "directory" else f"{kind}s"
            what = f"{counted(count, kind, plural)} are open."
            targets = tallied(each.target for each in look.descriptors if each.kind == kind)
            first = tuple(f"{target} ({number:,})" for target, number in list(targets.items())[:3])
            yield Finding("warning", f"many-{kind}", what, _sentence(means), do, first)


def _pipes(look: Look) -> Iterator[Finding]:
    """An end whose other end is here too is the program's own; the others lead to children."""
    ends = tallied(each.target for each in look.descriptors if each.kind == "pipe" and each.fd > 2)  # noqa: PLR2004 - not the standard streams
    single = sum(count == 1 for count in ends.values())
    living = sum(each.state != "Z" for each in look.children)
    if single >= _PIPES and single > _PIPES_OF_A_CHILD * living:
        yield Finding(
            "warning" if single >= _MANY_PIPES else "note",
            "pipes",
            f"{counted(single, 'pipe')} lead out of the process, which has"
            f" {counted(living, 'living child', 'living children')}.",
            "Pipes of subprocesses that have ended, or were given up at a timeout, and were not closed.",
            "Wait for each subprocess (`with Popen(...)`, `communicate`), and close its pipes.",
        )
    own = sum(count > 1 for count in ends.values())
    if own >= _MANY_PIPES:
        yield Finding(
            "warning",
            "own-pipes",
            f"{counted(own, 'pipe')} have both ends in the process.",
            "Queues of multiprocessing, and wake-ups of threads, that were not closed.",
            "Close queues (`queue.close()`); make them once, and not for each call.",
        )


def _loops(count: int) -> Iterator[Finding]:
    if count < _LOOPS:
        return
    yield Finding(
        "warning" if count >= _MANY_LOOPS else "note",
        "event-loops",
        f"{counted(count, 'epoll')} are open.",
        "Each event loop and each selector has one, and a loop two sockets more: loops that are made"
        " for each call and not closed.",
        "Use one loop (`asyncio.run` once), and close each that is made by hand.",
    )


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
