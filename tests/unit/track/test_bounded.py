"""Opening within the budget, and a server that accepts what it has descriptors for."""

import asyncio
import errno
import os
import socket

import pytest

import holdfast
from holdfast import UnderPressure
from holdfast.track import DESCRIPTORS, aopen_bounded, open_bounded, opened, start_server
from holdfast.track._backing_off import Pauses, is_shortage


class Refusing:
    """Opens a file, after the system has refused so many times."""

    def __init__(self, times, error=None):
        self.times = times
        self.calls = 0
        self.error = error or OSError(errno.EMFILE, "Too many open files")

    def __call__(self):
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return open(os.devnull)

    async def later(self):
        await asyncio.sleep(0)
        return self()


def test_what_was_opened_is_tracked_with_its_descriptors():
    """Until it is closed."""
    before = DESCRIPTORS.drawn
    with open_bounded(lambda: open(os.devnull), name="nothing") as found:
        assert DESCRIPTORS.drawn == before + 1
        assert [one.name for one in opened() if one.where.startswith(__file__)] == ["nothing"]
    del found
    assert opened() is not None
    assert DESCRIPTORS.drawn == before


def test_a_scope_around_the_caller_closes_it():
    """As with ``track``."""
    with holdfast.scope("session"):
        found = open_bounded(lambda: open(os.devnull))  # noqa: SIM115 - closed by the scope
        assert dict(DESCRIPTORS.holders())["session"] == 1
    assert found.closed


def test_a_shortage_is_met_with_pauses():
    """It is called again until it works."""
    opener = Refusing(3)
    open_bounded(opener).close()
    assert opener.calls == 4


async def test_a_shortage_in_a_coroutine_too():
    """Also when the refusal is the cause of another error."""
    wrapped = ConnectionError("can't connect")
    wrapped.__cause__ = OSError(errno.ENFILE, "File table overflow")
    opener = Refusing(2, wrapped)
    (await aopen_bounded(opener.later)).close()
    assert opener.calls == 3


def test_a_shortage_that_lasts_is_refused():
    """In time, with the system's own error as the cause, and nothing drawn."""
    before = DESCRIPTORS.drawn
    with pytest.raises(UnderPressure, match=r"has refused 1 more descriptors .* times") as caught:
        open_bounded(Refusing(10**6), timeout=0.05)
    assert caught.value.__cause__.errno == errno.EMFILE
    assert DESCRIPTORS.drawn == before


async def test_other_errors_are_the_callers():
    """They are raised at once."""
    before = DESCRIPTORS.drawn
    with pytest.raises(FileNotFoundError):
        open_bounded(lambda: os.open("/nonexistent/file", os.O_RDONLY))
    with pytest.raises(ValueError, match="mine"):
        await aopen_bounded(Refusing(1, ValueError("mine")).later)
    with pytest.raises(TypeError, match="neither close nor aclose"):
        open_bounded(lambda: 17)
    with pytest.raises(TypeError, match="timeout must be seconds"):
        open_bounded(lambda: 17, timeout=None)
    assert DESCRIPTORS.drawn == before


def test_pauses_grow_and_begin_again():
    """Doubling up to the longest, with jitter; after a success from the beginning."""
    pauses = Pauses(0.01, 1.0)
    error = OSError(errno.EMFILE, "")
    found = [pauses.next(error) for _ in range(12)]
    assert 0.005 <= found[0] <= 0.01
    assert all(pause <= 1.0 for pause in found)
    assert found[-1] >= 0.5
    pauses.over()
    assert pauses.next(error) <= 0.01


def test_a_shortage_is_found_through_causes():
    """And a ring of contexts is no endless search."""
    inner, outer = OSError(errno.EMFILE, ""), RuntimeError()
    outer.__context__ = inner
    ring = RuntimeError()
    ring.__context__ = other = RuntimeError()
    other.__context__ = ring
    assert is_shortage(outer)
    assert not is_shortage(ring)
    assert not is_shortage(ConnectionRefusedError())


# ---------------------------------------------------------------- the server


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()


async def _ask(port, text=b"hello"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    answer = await reader.read(100)
    return answer, writer


async def test_a_connection_is_answered_and_its_descriptor_given_back():
    """As with asyncio's own server."""
    before = DESCRIPTORS.drawn
    async with await start_server(echo, name="echo") as server:
        port = server.sockets[0].getsockname()[1]
        answer, writer = await _ask(port)
        assert answer == b"hello"
        assert server.stats().open == 1
        writer.close()
        await writer.wait_closed()
    assert server.closed
    assert (server.stats().accepted, server.stats().open) == (1, 0)
    assert DESCRIPTORS.drawn == before


async def test_no_more_than_max_connections_are_accepted():
    """The others wait, and are served when one has ended."""
    async with await start_server(echo, max_connections=2) as server:
        port = server.sockets[0].getsockname()[1]
        asking = [asyncio.create_task(_ask(port)) for _ in range(6)]
        for ended in range(6):
            while sum(task.done() for task in asking) <= ended:
                await asyncio.sleep(0.001)
            done = [task for task in asking if task.done() and not task.result()[1].is_closing()]
            done[0].result()[1].close()
        assert server.stats().peak_open == 2
        assert server.stats().accepted == 6
        for task in asking:
            await task.result()[1].wait_closed()


async def test_without_descriptors_clients_wait(monkeypatch):
    """They are accepted as soon as there is one."""
    bound = DESCRIPTORS.drawn + 1
    monkeypatch.setattr(DESCRIPTORS, "_bound", lambda: bound)
    async with await start_server(echo) as server:
        port = server.sockets[0].getsockname()[1]
        _, first = await _ask(port)
        second = asyncio.create_task(_ask(port))
        await asyncio.sleep(0.05)
        assert server.stats().open == 1
        first.close()
        answer, writer = await second
        assert answer == b"hello"
        writer.close()
        await writer.wait_closed()
        await first.wait_closed()


async def test_a_refusal_of_the_system_is_met_with_a_pause(monkeypatch, caplog):
    """It is logged once, and no connection is lost."""
    loop = asyncio.get_running_loop()
    accept, refusals = loop.sock_accept, []

    async def refusing(listener):
        if len(refusals) < 5:
            refusals.append(loop.time())
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", refusing)
    async with await start_server(echo) as server:
        answer, writer = await _ask(server.sockets[0].getsockname()[1])
        writer.close()
        await writer.wait_closed()

    assert answer == b"hello"
    assert server.stats().refused == 5
    assert caplog.text.count("refuses to accept") == 1


async def test_a_connection_is_closed_when_its_handler_fails(caplog):
    """The error is logged, not lost, and the client hears the end."""

    async def fail(reader, writer):
        raise RuntimeError("mine")

    async with await start_server(fail) as server:
        answer, writer = await _ask(server.sockets[0].getsockname()[1])
        writer.close()
        await writer.wait_closed()
    assert answer == b""
    assert server.stats().failed == 1
    assert "mine" in caplog.text


async def test_close_aborts_what_does_not_end_in_time():
    """And says how many these were."""

    async def stay(reader, writer):
        await asyncio.Event().wait()

    server = await start_server(stay)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    while server.stats().open == 0:
        await asyncio.sleep(0.001)
    assert await server.aclose(timeout=0.01) == 1
    writer.close()
    with pytest.raises(ConnectionError):
        await writer.wait_closed()
        raise ConnectionResetError
    assert server.stats().open == 0


async def test_it_can_listen_on_a_socket_that_is_there():
    """Bound by somebody else."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    async with await start_server(echo, sock=sock) as server:
        answer, writer = await _ask(sock.getsockname()[1])
        assert answer == b"hello"
        writer.close()
        await writer.wait_closed()
    assert server.sockets == ()


async def test_where_it_cannot_listen_nothing_stays_open():
    """The system's own error is raised."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await start_server(echo, port=taken.getsockname()[1])
