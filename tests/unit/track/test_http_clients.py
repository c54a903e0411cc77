"""Shared clients: one for each loop and purpose, bounded, swept, and closed with their loop."""

import asyncio
import dataclasses
import errno
import gc
import os

import pytest
from tests.unit.track.http_server import Server

import holdfast
from holdfast.track import DESCRIPTORS, opened

LIBRARIES = ["aiohttp", "httpx", "httpx2"]
each_library = pytest.mark.parametrize("library", LIBRARIES)


def client(library, purpose="test", **options):
    """Ask for a shared client, deaf to the environment."""
    if library == "aiohttp":
        return holdfast.http(purpose, **options)
    return getattr(holdfast.http, library)(purpose, trust_env=False, **options)


async def get(library, url, **options):
    """Fetch a page whole."""
    here = client(library, **options)
    if library == "aiohttp":
        async with here.get(url) as response:
            return await response.text()
    return (await here.get(url)).text


@pytest.fixture
async def server():
    async with Server() as running:
        yield running


async def until(condition):
    """Wait for the server to notice; the test's timeout is the bound."""
    while not condition():
        await asyncio.sleep(0.005)


@each_library
async def test_one_purpose_in_one_loop_is_one_client(library, server):
    """However many ask; another purpose is another client."""
    assert await get(library, server.url) == "ok"

    assert client(library) is client(library)
    assert client(library) is not client(library, "other")
    assert len(holdfast.http.stats()) == 2
    assert server.peak == 1


@each_library
async def test_no_more_requests_are_under_way_than_the_limit(library, server):
    """The others wait before the client, and each is answered."""
    calls = [asyncio.create_task(get(library, server.url + "/slow", limit=3)) for _ in range(20)]
    await until(lambda: server.requests == 3)
    (stats,) = holdfast.http.stats()
    assert (stats.in_flight, stats.queued, stats.limit) == (3, 17, 3)

    server.go.set()

    assert await asyncio.gather(*calls) == ["ok"] * 20
    assert server.peak == 3
    assert holdfast.http.stats()[0].in_flight == 0


@each_library
async def test_who_waits_too_long_learns_who_is_under_way(library, server):
    """Not after ten minutes, and with the line that has the connection."""
    holder = asyncio.create_task(get(library, server.url + "/slow", limit=1, queue_timeout=0.05))
    await until(lambda: server.requests == 1)

    with pytest.raises(holdfast.QueueTimeout, match=r"GET 127\.0\.0\.1 .*test_http_clients\.py"):
        await get(library, server.url, limit=1, queue_timeout=0.05)

    server.go.set()
    assert await holder == "ok"


@each_library
async def test_idle_connections_are_closed_when_their_time_is_up(library, server):
    """Without another request to make it happen."""
    await asyncio.gather(*(get(library, server.url, keepalive=0.1) for _ in range(5)))
    assert server.open > 0

    await until(lambda: server.open == 0)

    assert await get(library, server.url, keepalive=0.1) == "ok"


@each_library
def test_clients_are_closed_with_their_loop(library):
    """By ``asyncio.run``, with nobody closing anything: not a descriptor more after forty loops."""

    async def main():
        async with Server() as server:
            await get(library, server.url)

    asyncio.run(main())
    gc.collect()
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    for _ in range(40):
        asyncio.run(main())

    assert len(os.listdir("/proc/self/fd")) <= before
    assert not [one for one in opened() if one.owner == "http 'test'"]


@each_library
def test_a_loop_that_is_closed_by_hand_closes_them_too(library):
    """Nothing shuts down generators there."""
    loop = asyncio.new_event_loop()

    async def main():
        server = await Server().__aenter__()
        await get(library, server.url)
        return server, client(library)

    server, shared = loop.run_until_complete(main())
    loop.run_until_complete(server.__aexit__())

    loop.close()

    assert shared.closed if library == "aiohttp" else shared.is_closed
    assert not [one for one in opened() if one.owner == "http 'test'"]


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_a_response_that_is_dropped_gives_its_place_back(library, server):
    """Nobody closed it: its connection is closed, and the next request has its turn.

    (A response of aiohttp that is not read is kept by its connection; it is found by its idleness.)
    """
    here = client(library, limit=1)

    async def forget():
        request = here.build_request("GET", server.url + "/endless")
        response = await here.send(request, stream=True)
        assert holdfast.http.stats()[0].in_flight == 1
        del response

    await forget()
    gc.collect()

    assert await get(library, server.url, limit=1) == "ok"
    assert holdfast.http.stats()[0].abandoned == 1
    await until(lambda: server.open == 1)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@each_library
async def test_a_response_that_nobody_reads_is_closed_and_its_line_logged(library, server, caplog):
    """It is still referenced, and holds the one connection: after its time it is taken from its reader."""
    here = client(library, limit=1, idle_timeout=0.1)
    if library == "aiohttp":
        response = await here.get(server.url + "/endless")
    else:
        request = here.build_request("GET", server.url + "/endless")
        response = await here.send(request, stream=True)

    assert await get(library, server.url, limit=1, idle_timeout=0.1) == "ok"

    assert "nobody has read the response of GET 127.0.0.1" in caplog.text
    assert "test_http_clients.py" in caplog.text
    assert holdfast.http.stats()[0].abandoned == 1
    with pytest.raises(Exception, match=r"closed|payload"):
        if library == "aiohttp":
            await response.read()
        else:
            await response.aread()


@each_library
async def test_a_reader_that_waits_for_the_server_is_not_taken_for_gone(library, server, caplog):
    """A model may think for long."""
    call = asyncio.create_task(get(library, server.url + "/slow", idle_timeout=0.1))

    async def read_endless():
        here = client(library, idle_timeout=0.1)
        if library == "aiohttp":
            async with here.get(server.url + "/endless") as response:
                async for chunk in response.content.iter_any():
                    chunks.append(chunk)
        else:
            async with here.stream("GET", server.url + "/endless") as response:
                async for chunk in response.aiter_raw():
                    chunks.append(chunk)

    chunks = []
    reader = asyncio.create_task(read_endless())
    await until(lambda: chunks)
    await asyncio.sleep(0.4)

    assert not call.done()
    assert not reader.done()
    assert not caplog.records
    server.go.set()
    await call
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader


@each_library
async def test_a_purpose_has_one_set_of_options(library):
    """Two that differ are two purposes; the message names the line of the first."""
    client(library, limit=3)

    with pytest.raises(ValueError, match=r"test_http_clients\.py.*other arguments"):
        client(library, limit=4)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_a_block_over_a_shared_client_closes_nothing(library, server):
    """Others use it as well."""
    async with client(library) as here:
        await here.get(server.url)
    await here.aclose()

    assert (await here.get(server.url)).text == "ok"


async def test_a_session_that_somebody_closed_is_replaced(server):
    """Aiohttp's sessions can't be kept from being closed."""
    first = client("aiohttp")
    await first.close()

    assert await get("aiohttp", server.url) == "ok"
    assert client("aiohttp") is not first


@each_library
async def test_a_shortage_of_descriptors_is_waited_out(library, server, monkeypatch):
    """``EMFILE`` at connecting is met with pauses; nothing was sent, so nothing is sent twice."""
    loop = asyncio.get_running_loop()
    real, refusals = loop.sock_connect, []

    async def refused(*arguments):
        if len(refusals) < 3:
            refusals.append(1)
            raise OSError(errno.EMFILE, "Too many open files")
        return await real(*arguments)

    monkeypatch.setattr(loop, "sock_connect", refused)

    assert await get(library, server.url) == "ok"
    assert len(refusals) == 3
    assert server.requests == 1
    assert holdfast.http.stats()[0].shortages == 3


@each_library
async def test_a_shortage_that_lasts_is_reported(library, server, monkeypatch):
    """After ``queue_timeout``: never sent, and what to do."""

    async def refused(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", refused)

    with pytest.raises(holdfast.UnderPressure, match="raise_fd_limit"):
        await get(library, server.url, queue_timeout=0.1)

    assert holdfast.http.stats()[0].in_flight == 0


@each_library
async def test_it_is_listed_with_its_line_and_its_descriptors(library):
    """Among all that is open."""
    client(library, limit=7)

    (mine,) = [one for one in opened() if one.owner == "http 'test'"]
    assert mine.kind == f"{library} client"
    assert mine.descriptors == 7
    assert "test_http_clients.py" in mine.where
    await holdfast.http.aclose()
    assert not [one for one in opened() if one.owner == "http 'test'"]


async def test_cancelled_requests_give_their_places_back(server):
    """In line and under way alike, in waves."""
    for library in LIBRARIES:
        for _ in range(3):
            calls = [
                asyncio.create_task(get(library, server.url + "/slow", limit=2)) for _ in range(6)
            ]
            await asyncio.sleep(0.02)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

        assert await get(library, server.url, limit=2) == "ok"
    assert [stats.in_flight for stats in holdfast.http.stats()] == [0, 0, 0]


def test_outside_of_a_loop_it_says_where_to_ask():
    """A client belongs to a loop."""
    with pytest.raises(RuntimeError, match="inside of a coroutine"):
        holdfast.http()


async def test_arguments_are_checked():
    """Each with what would do."""
    with pytest.raises(ValueError, match="at least 1"):
        holdfast.http(limit=0)
    with pytest.raises(ValueError, match="for ever"):
        holdfast.http(keepalive=None)
    with pytest.raises(TypeError, match="asynchronous client"):
        holdfast.http.client_for(dict)


@pytest.fixture
def budget_of_forty_more():
    """A budget of forty descriptors beyond what is drawn now."""
    before = holdfast.current_budget()
    holdfast.set_budget(dataclasses.replace(before, descriptors=DESCRIPTORS.drawn + 40))
    yield
    holdfast.set_budget(before)


@each_library
async def test_clients_leave_descriptors_to_those_who_come_later(
    library, budget_of_forty_more, caplog
):
    """Each draws for all of its limit at once; a quarter of the budget stays, and the log says so."""
    quarter = holdfast.current_budget().descriptors // 4

    client(library, limit=100)
    client(library, "another", limit=100)

    assert [stats.limit for stats in holdfast.http.stats()] == [40 - quarter, 1]
    assert DESCRIPTORS.left() == quarter - 1
    told = f"a limit of 100 was asked for, and there are descriptors for {40 - quarter}"
    assert told in caplog.text
