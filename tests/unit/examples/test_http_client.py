"""The small HTTP client: connections are used again, and never left in an unknown state."""

import asyncio
import contextlib
import json
import socket

import pytest
from http_client import LARGEST_BODY, HttpClient, HttpError

from holdfast import ThreadPool

pytestmark = pytest.mark.system


@pytest.fixture
async def client(server):
    """A client of the fake server."""
    made = HttpClient(server.url, timeout=5.0)
    yield made
    await made.close()


async def test_requests_in_turn_use_one_connection(server, client, reply):
    """And each gets its own answer."""
    server.replies = [reply({"n": number}) for number in range(3)]

    bodies = [json.loads((await client.post("/x", {}, None)).body) for _ in range(3)]

    assert bodies == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert (server.connections, client.opened) == (1, 1)


async def test_requests_at_once_have_a_connection_each_up_to_the_bound(server):
    """Further ones wait for one of these."""
    client = HttpClient(server.url, timeout=5.0, max_connections=3)

    await asyncio.gather(*(client.post("/x", {}, number) for number in range(20)))

    await client.close()
    assert len(server.requests) == 20
    assert server.connections <= 3


async def test_a_request_carries_path_headers_and_json(server, client):
    """As the server reads it."""
    await client.post("/v1/messages?x=1", {"x-api-key": "secret"}, {"ä": [1]})

    [(path, headers, body)] = server.requests
    assert (path, headers["x-api-key"], body) == ("/v1/messages?x=1", "secret", {"ä": [1]})


async def test_the_base_urls_path_comes_first(server):
    """It is where the service lives."""
    client = HttpClient(f"{server.url}/api/", timeout=5.0)

    await client.post("/messages", {}, None)

    await client.close()
    assert server.requests[0][0] == "/api/messages"


async def test_a_body_in_chunks_is_put_together(server, client):
    """Whatever stands between and after the chunks."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    server.replies = [head + b"4;x=y\r\n[1,2\r\n2\r\n,3\r\n1\r\n]\r\n0\r\ntrailer: x\r\n\r\n"]

    bodies = [(await client.post("/x", {}, None)).body for _ in range(2)]

    assert bodies == [b"[1,2,3]"] * 2
    assert server.connections == 1


async def test_a_body_may_end_with_the_connection(server, client):
    """Then there is no telling its size before."""
    server.replies, server.closing = [b"HTTP/1.1 200 OK\r\n\r\n[1, 2, 3]"], True

    response = await client.post("/x", {}, None)

    assert response.body == b"[1, 2, 3]"


async def test_what_comes_before_the_answer_is_passed_over(server, client, reply):
    """A server may say "continue" first."""
    server.replies = [b"HTTP/1.1 100 Continue\r\n\r\n" + reply([1], 201)]

    response = await client.post("/x", {}, None)

    assert (response.status, response.body) == (201, b"[1]")


async def test_a_connection_that_the_server_wants_closed_is_closed(server, client, reply):
    """The next request has a new one."""
    server.replies = [reply({}, connection="close")]

    for _ in range(2):
        await client.post("/x", {}, None)

    assert server.connections == 2


async def test_an_idle_connection_that_the_server_gave_up_is_replaced(server, client, reply):
    """The request that met it is sent once more."""
    server.replies = [reply([1]), b"", reply([2])]
    await client.post("/x", {}, None)

    response = await client.post("/x", {}, None)

    assert response.body == b"[2]"
    assert server.connections == 2


async def test_a_new_connection_that_is_closed_without_a_word_is_an_error(server, client):
    """Trying again and again is the caller's business."""
    server.replies = [b""]

    with pytest.raises(HttpError, match="closed before an answer"):
        await client.post("/x", {}, None)

    assert server.connections == 1


async def test_half_an_answer_is_an_error_and_the_request_is_not_repeated(server, client, reply):
    """It has been worked on; to repeat it costs."""
    server.replies = [reply([1]), reply({"long": "x" * 100})[:-10]]
    await client.post("/x", {}, None)
    server.closing = True

    with pytest.raises(HttpError, match="IncompleteReadError"):
        await client.post("/x", {}, None)

    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (LARGEST_BODY + 1),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnothex\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
    ],
)
async def test_what_is_not_http_or_has_no_end_is_an_error(server, client, answer):
    """And its connection is closed."""
    server.replies = [answer]

    with pytest.raises(HttpError, match="no answer from"):
        await client.post("/x", {}, None)

    async with asyncio.timeout(5):
        await server.gone.wait()


async def test_a_server_that_does_not_answer_is_given_up(server):
    """Nothing waits without a bound."""
    server.replies = [asyncio.Event().wait]
    client = HttpClient(server.url, timeout=0.05)

    with pytest.raises(HttpError, match=r"did not answer within 0\.05 s"):
        await client.post("/x", {}, None)


async def test_nobody_there_is_an_error_that_names_the_place(unused_tcp_port):
    """And the reason."""
    client = HttpClient(f"http://127.0.0.1:{unused_tcp_port}")

    with pytest.raises(HttpError, match=f"127.0.0.1:{unused_tcp_port}.*Refused"):
        await client.post("/x", {}, None)

    await client.close()


async def test_a_cancelled_request_does_not_leave_its_answer_to_the_next(server, client, reply):
    """Its connection is closed, as nobody knows what is still to come on it."""
    came, go = asyncio.Event(), asyncio.Event()

    async def late():
        came.set()
        await go.wait()
        return reply(["late"])

    server.replies = [late, reply(["next"])]
    first = asyncio.create_task(client.post("/x", {}, None))
    await came.wait()

    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    go.set()
    response = await client.post("/x", {}, None)

    assert response.body == b'["next"]'
    assert server.connections == 2


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://host", "http://", ""])
def test_what_is_no_url_is_refused_at_once(url):
    """The message shows what one looks like."""
    with pytest.raises(ValueError, match=r"looks like http://127\.0\.0\.1:8080"):
        HttpClient(url)


def serve_blocking(listening, times):
    """Answer one request on each of some connections; return what the client sent after it."""
    ends = []
    for _ in range(times):
        connection, _address = listening.accept()
        with connection:
            request = b""
            while not request.endswith(b"\r\n\r\nnull"):
                request += connection.recv(1_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            ends.append(connection.recv(1))
    return ends


def test_connections_are_closed_with_the_event_loop_and_made_anew_in_the_next():
    """Nobody has to call ``close``."""
    with ThreadPool(1, name="server") as pool, socket.create_server(("127.0.0.1", 0)) as listening:
        served = pool.submit(serve_blocking, listening, 2)
        client = HttpClient(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=5.0)

        for _ in range(2):
            asyncio.run(client.post("/x", {}, None))

        assert served.result(timeout=10) == [b"", b""]
