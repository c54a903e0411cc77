"""Findings about threads and child processes."""

import re
from collections.abc import Iterator
from typing import Final

from holdfast.watch._words import counted, listed, tallied
from holdfast.watch.finding import Finding
from holdfast.watch.look import Look

__all__ = ("of_children", "of_threads", "role")

_THREADS, _MANY_THREADS = 64, 200
_THREADS_OF_A_CPU: Final = 4
_STUCK: Final = 4
_POOLS, _MANY_POOLS = 8, 20
_ZOMBIES: Final = 5
_ALIKE, _MANY_ALIKE = 16, 50
_CHILDREN_OF_A_CPU: Final = 2
# What the standard library calls the workers of a pool that was given no name.
_POOL: Final = re.compile(r"ThreadPoolExecutor-(\d+)_\d+")
_LONGEST_COMMAND: Final = 60


def of_threads(look: Look) -> Iterator[Finding]:
    """Yield what threads tell."""
    if look.process.state in {"T", "t"}:
        yield Finding(
            "warning",
            "stopped",
            "The process is stopped: nothing in it runs.",
            "Somebody sent it SIGSTOP, or a debugger holds it.",
            f"Let it go on: `kill -CONT {look.process.pid}`.",
        )
    yield from _pools(look)
    yield from _many(look)
    stuck = [each for each in look.threads if each.state == "D" and look.lasts(f"disk {each.tid}")]
    if len(stuck) >= _STUCK and look.lasting is not None:
        yield Finding(
            "warning",
            "waiting-for-disk",
            f"{counted(len(stuck), 'thread')} wait for a disk and can't be disturbed (state D).",
            "A disk or a file server does not answer.",
            "Look at the disk (`holdfast limits` shows its pressure), and at network mounts.",
            listed(tallied(role(each.name) for each in stuck)),
        )


def role(name: str) -> str:
    """Return a thread's name without its numbers, so that those of one kind count together."""
    return re.sub(r"\d+", "N", name) or "without a name"


def _pools(look: Look) -> Iterator[Finding]:
    pools = {match[1] for each in look.threads if (match := _POOL.fullmatch(each.name))}
    if len(pools) < _POOLS:
        return
    yield Finding(
        "warning" if len(pools) >= _MANY_POOLS else "note",
        "pool-per-call",
        f"Threads of {len(pools):,} pools that have no name are alive.",
        "A ThreadPoolExecutor is made for each call, often for a timeout, and its thread goes on.",
        "Make one pool for the program, and share it.",
    )


def _many(look: Look) -> Iterator[Finding]:
    count, cpus = len(look.threads), look.bounds.cpus.bound or 1
    if count < _THREADS:
        return
    locked = sum(each.waits_in == "a lock" for each in look.threads)
    parked = f"; {locked:,} of them wait for a lock" if locked else ""
    much = count >= max(_MANY_THREADS, _THREADS_OF_A_CPU * cpus)
    yield Finding(
        "warning" if much else "note",
        "many-threads",
        f"The process has {counted(count, 'thread')}{parked}.",
        "A pool for each call, a thread for each request, or blocked calls that nobody waits for any"
        " more.",
        "Share one pool with a bound; give blocking calls a timeout of their own.",
        listed(tallied(role(each.name) for each in look.threads)),
    )


def of_children(look: Look) -> Iterator[Finding]:
    """Yield what child processes tell."""
    zombies = [
        each for each in look.children if each.state == "Z" and look.lasts(f"zombie {each.pid}")
    ]
    if zombies:
        many = len(zombies) >= _ZOMBIES and look.lasting is not None
        yield Finding(
            "warning" if many else "note",
            "zombies",
            f"{counted(len(zombies), 'child has', 'children have')} ended, and nobody asked how (zombies).",
            "Each keeps a number of the limit of processes until its parent waits for it.",
            "Wait for each child: `with Popen(...)`, `communicate`, `await process.wait()`.",
            listed(tallied(each.name for each in zombies)),
        )
    living = [each for each in look.children if each.state != "Z"]
    alike = tallied(_command(each.command or each.name) for each in living)
    most, cpus = max(alike.values(), default=0), look.bounds.cpus.bound or 1
    if most < max(_ALIKE, _CHILDREN_OF_A_CPU * cpus):
        return
    yield Finding(
        "warning" if most >= max(_MANY_ALIKE, _CHILDREN_OF_A_CPU * cpus) else "note",
        "many-children",
        f"{counted(most, 'child', 'children')} of one kind are running.",
        "A tool or a server is started for each session, or goes on after its caller gave up.",
        "End each at its timeout with all that it started; share servers between sessions.",
        listed(alike),
    )


def _command(command: str) -> str:
    return command if len(command) <= _LONGEST_COMMAND else f"{command[:_LONGEST_COMMAND]}…"
