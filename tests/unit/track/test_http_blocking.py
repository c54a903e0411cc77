"""Shared blocking clients: one for the process and purpose, bounded, swept, closed once."""

import asyncio
import errno
import gc
import socket
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from tests.unit.track.http_server import server_in_thread

import holdfast
from holdfast.track import DESCRIPTORS, opened
from holdfast.track._http.plan import Plan
from holdfast.track._http.thread_gate import ThreadGate
from holdfast.track._http.with_httpx_blocking import Body, Watched

each_library = pytest.mark.parametrize("library", ["httpx", "httpx2"])


@pytest.fixture
def server():
    with server_in_thread() as running:
        yield running


@pytest.fixture(autouse=True)
def closed_afterwards():
    """No test leaves its clients to the next one."""
    yield
    holdfast.http.blocking.close(0.0)


def client(library, purpose="test", **options):
    """Ask for a shared client, deaf to the environment."""
    return getattr(holdfast.http.blocking, library)(purpose, trust_env=False, **options)


def get(library, url, **options):
    """Fetch a page whole."""
    return client(library, **options).get(url).text


def stats():
    (only,) = holdfast.http.blocking.stats()
    return only


def until(condition):
    """Wait for others to notice; twenty seconds are the bound."""
    pause = threading.Event()
    for _ in range(4000):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it never happened")


def open_endless(here, server):
    """Open a response that never ends, and read nothing of it."""
    return here.send(here.build_request("GET", server.url + "/endless"), stream=True)


@each_library
def test_one_purpose_is_one_client_in_every_thread(library, server):
    """However many ask; another purpose is another client; one after the other they need one connection."""
    with ThreadPoolExecutor(8) as threads:
        clients = set(threads.map(lambda _: client(library), range(40)))
    for _ in range(5):
        assert get(library, server.url) == "ok"

    assert clients == {client(library)}
    assert client(library) is not client(library, "other")
    assert len(holdfast.http.blocking.stats()) == 2
    assert server.peak == 1


@each_library
def test_no_more_requests_are_under_way_than_the_limit(library, server):
    """The other threads wait before the client, and each is answered."""
    with ThreadPoolExecutor(20) as threads:
        calls = [
            threads.submit(get, library, server.url + "/slow", limit=3, queue_timeout=20)
            for _ in range(20)
        ]
        until(lambda: server.requests == 3 and stats().queued == 17)
        assert (stats().in_flight, stats().limit) == (3, 3)

        server.let_go()

        assert [call.result(20) for call in calls] == ["ok"] * 20
    assert server.peak == 3
    assert stats().in_flight == 0


@each_library
def test_who_waits_too_long_learns_who_is_under_way(library, server):
    """With the line that has the connection."""
    options = {"limit": 1, "queue_timeout": 0.05}
    with ThreadPoolExecutor(1) as threads:
        holder = threads.submit(get, library, server.url + "/slow", **options)
        until(lambda: server.requests == 1)

        with pytest.raises(
            holdfast.QueueTimeout, match=r"GET 127\.0\.0\.1 .*test_http_blocking\.py"
        ):
            get(library, server.url, **options)

        server.let_go()
        assert holder.result(20) == "ok"
    assert stats().refused == 1


@each_library
def test_a_deadline_bounds_the_wait(library, server):
    """The inherited one, where it is nearer than ``queue_timeout``."""
    with ThreadPoolExecutor(1) as threads:
        holder = threads.submit(get, library, server.url + "/slow", limit=1)
        until(lambda: server.requests == 1)

        with holdfast.deadline(0.02), pytest.raises(holdfast.QueueTimeout):
            get(library, server.url, limit=1)

        server.let_go()
        assert holder.result(20) == "ok"


@each_library
def test_a_thread_that_runs_a_loop_is_refused_rather_than_parked(library, server):
    """Its loop would stand still; the message says what to use there."""
    with ThreadPoolExecutor(1) as threads:
        holder = threads.submit(get, library, server.url + "/slow", limit=1)
        until(lambda: server.requests == 1)

        async def blocks():
            get(library, server.url, limit=1)

        with pytest.raises(holdfast.QueueFull, match="runs an event loop"):
            asyncio.run(blocks())

        server.let_go()
        assert holder.result(20) == "ok"


@each_library
def test_idle_connections_are_closed_when_their_time_is_up(library, server):
    """Without another request to make it happen."""
    with ThreadPoolExecutor(5) as threads:
        for answer in threads.map(lambda _: get(library, server.url, keepalive=0.1), range(5)):
            assert answer == "ok"
    assert server.requests == 5

    until(lambda: server.open == 0)

    assert get(library, server.url, keepalive=0.1) == "ok"


@each_library
def test_a_response_that_is_dropped_gives_its_place_back(library, server):
    """Nobody closed it: its connection is closed, and the next request has its turn."""
    response = open_endless(client(library, limit=1), server)
    assert stats().in_flight == 1
    del response
    gc.collect()

    assert get(library, server.url, limit=1) == "ok"

    assert stats().abandoned == 1
    until(lambda: server.open == 1)


@each_library
def test_a_response_that_is_dropped_is_found_while_others_wait(library, server):
    """The thread that waits for its place holds no lock that keeps it from being found."""
    response = open_endless(client(library, limit=1, keepalive=0.1), server)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(get, library, server.url, limit=1, keepalive=0.1)
        until(lambda: stats().queued == 1)
        del response
        gc.collect()

        assert waiting.result(20) == "ok"


@each_library
def test_a_response_that_nobody_reads_is_closed_and_its_line_logged(library, server, caplog):
    """It is still referenced, and holds the one connection: after its time it is taken from its reader."""
    response = open_endless(client(library, limit=1, idle_timeout=0.1), server)

    assert get(library, server.url, limit=1, idle_timeout=0.1) == "ok"

    assert "nobody has read the response of GET 127.0.0.1" in caplog.text
    assert "test_http_blocking.py" in caplog.text
    assert stats().abandoned == 1
    with pytest.raises(holdfast.CallTimeout, match="closed"):
        response.read()


@each_library
def test_a_reader_that_waits_for_the_server_is_not_taken_for_gone(library, server, caplog):
    """A model may think for long."""
    with ThreadPoolExecutor(1) as threads:
        chunks = []

        def read():
            with client(library, idle_timeout=0.1).stream(
                "GET", server.url + "/endless"
            ) as response:
                chunks.extend(response.iter_raw())

        reader = threads.submit(read)
        until(lambda: stats().in_flight == 1 and stats().holders)
        threading.Event().wait(0.4)

        assert not reader.done()
        assert not caplog.records
        assert stats().abandoned == 0
        server.hang_up()
        with pytest.raises(Exception, match=r"incomplete|closed"):
            reader.result(20)


@each_library
def test_a_purpose_has_one_set_of_options(library):
    """Two that differ are two purposes; the message names the line of the first."""
    client(library, limit=3)

    with pytest.raises(ValueError, match=r"test_http_blocking\.py.*other arguments"):
        client(library, limit=4)


@each_library
def test_a_block_over_a_shared_client_closes_nothing(library, server):
    """Others use it as well."""
    with client(library) as here:
        here.get(server.url)
    here.close()

    assert here.get(server.url).text == "ok"


@each_library
def test_a_shortage_of_descriptors_is_waited_out(library, server, monkeypatch):
    """``EMFILE`` at connecting is met with pauses; nothing was sent, so nothing is sent twice."""
    real, refusals = socket.create_connection, []

    def refused(*arguments, **more):
        if len(refusals) < 3:
            refusals.append(1)
            raise OSError(errno.EMFILE, "Too many open files")
        return real(*arguments, **more)

    monkeypatch.setattr(socket, "create_connection", refused)

    assert get(library, server.url) == "ok"
    assert len(refusals) == 3
    assert server.requests == 1
    assert stats().shortages == 3


@each_library
def test_a_shortage_that_lasts_is_reported(library, server, monkeypatch):
    """After ``queue_timeout``: never sent, and what to do."""

    def refused(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "create_connection", refused)

    with pytest.raises(holdfast.UnderPressure, match="raise_fd_limit"):
        get(library, server.url, queue_timeout=0.1)

    assert stats().in_flight == 0


@each_library
def test_it_is_listed_with_its_line_and_its_descriptors(library):
    """Among all that is open; and gives them back when it is closed."""
    before = DESCRIPTORS.drawn
    client(library, limit=7)

    (mine,) = [one for one in opened() if one.owner == "http.blocking 'test'"]
    assert mine.kind == f"{library} client"
    assert mine.descriptors == 7
    assert "test_http_blocking.py" in mine.where
    holdfast.http.blocking.close()
    assert not [one for one in opened() if one.owner == "http.blocking 'test'"]
    assert DESCRIPTORS.drawn == before


@each_library
def test_a_close_refuses_who_waits_and_lets_who_is_under_way_end(library, server):
    """And the next call has a new client."""
    first = client(library, limit=1)
    with ThreadPoolExecutor(3) as threads:
        holder = threads.submit(get, library, server.url + "/slow", limit=1)
        until(lambda: server.requests == 1)
        waiting = threads.submit(get, library, server.url, limit=1)
        until(lambda: stats().queued == 1)

        closing = threads.submit(holdfast.http.blocking.close, 20.0)
        with pytest.raises(holdfast.PoolClosed, match="before the request was sent"):
            waiting.result(20)
        assert not closing.done()
        server.let_go()

        assert holder.result(20) == "ok"
        assert not wait((closing,), 20).not_done
    with pytest.raises((holdfast.PoolClosed, RuntimeError)):
        first.get(server.url)
    assert get(library, server.url, limit=1) == "ok"


@each_library
def test_a_close_that_has_no_time_left_says_who_was_under_way(library, server, caplog):
    """It does not hang on a response that somebody keeps."""
    response = open_endless(client(library), server)

    holdfast.http.blocking.close(0.0)

    assert "closed although these were under way: GET 127.0.0.1" in caplog.text
    response.close()


@each_library
def test_a_runtime_that_was_asked_closes_them(library, server):
    """In blocking code and in a coroutine."""
    with holdfast.Runtime() as rt:
        assert (
            getattr(rt.http.blocking, library)("test", trust_env=False).get(server.url).is_success
        )
        assert len(holdfast.http.blocking.stats()) == 1
    assert not holdfast.http.blocking.stats()

    async def main():
        async with holdfast.Runtime() as rt:
            fetch = getattr(rt.http.blocking, library)("test", trust_env=False).get
            assert (await rt.io.run(fetch, server.url)).is_success

    asyncio.run(main())
    assert not holdfast.http.blocking.stats()
    until(lambda: server.open == 0)


def test_sdk_classes_are_told_apart():
    """A blocking client here, an asynchronous one there; each message names the other place."""
    from anthropic import Anthropic, AsyncAnthropic

    with pytest.raises(TypeError, match=r"blocking client class.*holdfast\.http\.client_for"):
        holdfast.http.blocking.client_for(AsyncAnthropic)
    with pytest.raises(TypeError, match=r"asynchronous.*holdfast\.http\.blocking\.client_for"):
        holdfast.http.client_for(Anthropic)


# ---------------------------------------------------------------- scripted interleavings


def plan(**more):
    usual = {"library": "httpx", "purpose": "p", "limit": 1, "max_queue": 9, "queue_timeout": 5.0}
    return Plan(**usual, keepalive=5.0, idle_timeout=5.0, more=(), blocking=True, **more)


class Stream:
    """What a response's body stands before; ``within`` is called while it is being read."""

    def __init__(self, within):
        self.within = within
        self.closes = 0

    def __iter__(self):
        yield b"one"
        self.within()
        yield b"two"

    def close(self):
        self.closes += 1


def test_the_sweeper_closes_nothing_under_the_hands_of_a_reader():
    """It comes while a thread waits in ``recv``, then between two reads, then again: closed once."""
    gate = ThreadGate("p", 1, max_queue=9, queue_timeout=5.0)
    ticket = gate.enter("GET x")
    said = []
    inner = Stream(lambda: said.append(body.abandon()))
    body = Body(inner, ticket, Watched(gate, plan()))
    chunks = iter(body)

    assert [next(chunks), next(chunks)] == [b"one", b"two"]
    assert said == [False]
    assert (inner.closes, len(gate.out())) == (0, 1)

    assert body.abandon()
    assert not body.abandon()
    body.close()

    assert (inner.closes, gate.out()) == (1, [])
    with pytest.raises(holdfast.CallTimeout, match="nobody had read"):
        next(chunks)
