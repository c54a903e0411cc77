"""The kinds of sessions of which a soak is made.

A kind is an asynchronous context manager that is entered once for the whole soak, with a folder of its
own, and gives a coroutine function: one session, called with its number. To add one, write it here, or
in a module of its own, and give it a line in ``KINDS`` with its share of the sessions.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import holdfast

__all__ = ("KINDS", "Kind", "Session")

Session = Callable[[int], Awaitable[object]]
Kind = Callable[[Path], contextlib.AbstractAsyncContextManager[Session]]


class Mishap(Exception):
    """What a session fails with now and then."""


def _mishap(number: int) -> None:
    """Fail in one of ten sessions; a soak in which all goes well would tell little."""
    if number % 10 == 7:
        raise Mishap(number)


@contextlib.asynccontextmanager
async def file_sessions(folder: Path) -> AsyncIterator[Session]:
    """Files in a scope: some closed by hand, some by the scope, some dropped in a cycle."""
    path = folder / "history"
    path.write_text("what was said\n" * 10)

    async def session(number: int) -> None:
        async with holdfast.scope("session"):
            history = holdfast.track(path.open(), descriptors=1)
            history.readline()
            other = holdfast.track(path.open())
            other.readline()
            if number % 3 == 0:
                other.close()
            elif number % 3 == 1:
                cycle = [other]
                cycle.append(cycle)  # type: ignore[arg-type] # a cycle, as agent objects are
            _mishap(number)

    yield session


class Connection:
    """Something with a real descriptor."""

    def __init__(self) -> None:
        self.fd = os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        os.close(self.fd)


@contextlib.asynccontextmanager
async def pool_sessions(folder: Path) -> AsyncIterator[Session]:
    """A resource pool of the loop: borrowed, discarded, cancelled in line and in use, dropped."""

    async def connect() -> Connection:
        await asyncio.sleep(0)
        return Connection()

    async def reset(connection: Connection) -> None:
        os.fstat(connection.fd)

    async def use(pool: "holdfast.ResourcePool[Connection]", number: int) -> None:
        async with pool.borrow() as connection:
            os.fstat(connection.fd)
            await asyncio.sleep(0)
            _mishap(number)

    async with holdfast.ResourcePool(
        connect, max_size=10, reset=reset, name="soak", max_lifetime=5.0, idle_timeout=1.0
    ) as pool:

        async def session(number: int) -> None:
            if number % 17 == 0:  # cancelled, wherever it is
                task = asyncio.ensure_future(use(pool, number))
                for _ in range(number % 5):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Mishap):
                    await task
            elif number % 101 == 0:
                (await pool.aacquire()).discard()
            else:
                await use(pool, number)

        yield session


@contextlib.asynccontextmanager
async def blocking_pool_sessions(folder: Path) -> AsyncIterator[Session]:
    """A pool of blocking resources, borrowed by coroutines and by threads."""
    with holdfast.ResourcePool(Connection, max_size=6, name="blocking", max_lifetime=5.0) as pool:
        async with holdfast.ThreadPool(3, name="soak-threads") as threads:

            def blocking(number: int) -> None:
                with pool.borrow() as connection:
                    os.fstat(connection.fd)
                    _mishap(number)

            async def session(number: int) -> None:
                if number % 2:
                    await threads.run(blocking, number)
                    return
                async with pool.borrow() as connection:
                    os.fstat(connection.fd)
                    _mishap(number)

            yield session
        await pool.aclose()


@contextlib.asynccontextmanager
async def tracked_sessions(folder: Path) -> AsyncIterator[Session]:
    """Sockets that are tracked: closed, collected, or handed to somebody else."""

    async def session(number: int) -> None:
        one, other = socket.socketpair()
        with one, other:
            holdfast.track(one, descriptors=1)
            holdfast.track(other, name="other")
            if number % 4 == 0:
                holdfast.track.untrack(other)
            await asyncio.sleep(0)
            _mishap(number)

    yield session


KINDS: dict[str, tuple[Kind, int]] = {
    "file": (file_sessions, 4),
    "pool": (pool_sessions, 8),
    "blocking": (blocking_pool_sessions, 2),
    "tracked": (tracked_sessions, 4),
}
"""Each kind, and its share of the sessions in parts of the sum."""
