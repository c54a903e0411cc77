"""The model server on a socket: what clients do, well-behaved or not."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from holdfast.testing import ModelServer

pytestmark = pytest.mark.system

SEA = "The sea was blue and calm."
ASKED = f"Context:\n{SEA} Rain fell all day.\n\nQuestion: What colour was the sea?"


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client does, it is no fault of the server, and no noise."""
    yield
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


class Client:
    """A connection that speaks HTTP byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: ModelServer) -> "Client":
        host, _, port = server.base_url.removeprefix("http://").rpartition(":")
        return cls(*await asyncio.open_connection(host.strip("[]"), int(port)))

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        assert lines[0].startswith("HTTP/1.1 ")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), fields

    async def response(self, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        status, fields = await self.head()
        if not body:
            return status, fields, b""
        if "content-length" in fields:
            return status, fields, await self.reader.readexactly(int(fields["content-length"]))
        if fields.get("transfer-encoding") == "chunked":
            return status, fields, await self.chunks()
        return status, fields, await self.reader.read()

    async def chunks(self) -> bytes:
        data = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            data += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"
        return data

    async def at_end(self) -> bool:
        """Wait for the server to close, and tell whether it sent nothing more before that."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True


def post(
    path: str = "/v1/messages", *fields: str, content: str = ASKED, **options: object
) -> bytes:
    """Write a call."""
    body = json.dumps(
        {
            "model": "m",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": content}],
            **options,
        }
    ).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def get(path: str, method: str = "GET", *fields: str) -> bytes:
    """Write a request without a body."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: test", *fields, "", "")).encode()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until ``condition`` holds; the test's timeout is the bound."""
    while not condition():
        await asyncio.sleep(0.001)


async def said(client: Client) -> str:
    """Read an Anthropic answer and return its text."""
    _, _, body = await client.response()
    text: str = json.loads(body)["content"][0]["text"]
    return text


# ---------------------------------------------------------------- connections that are kept


async def test_a_connection_serves_one_request_after_the_other():
    """Keep-alive is the rule."""
    async with ModelServer() as server, await Client.connect(server) as client:
        for _ in range(3):
            client.send(post())
            assert await said(client) == SEA

        assert server.stats().peak_connections == 1
        assert server.stats().answered == 3


async def test_requests_sent_at_once_are_answered_in_order():
    """Pipelined calls wait for each other, also behind a slow one."""
    async with ModelServer(latency=0.01) as server, await Client.connect(server) as client:
        client.send(post() + get("/v1/models") + post(content="Well?"))

        assert await said(client) == SEA
        assert b"holdfast-extract-1" in (await client.response())[2]
        assert await said(client) == "No context was given. The question was: Well?"
        assert server.stats().peak_in_flight == 1


async def test_far_too_many_requests_at_once_are_held_back_and_all_answered():
    """What a client sends ahead fills the socket, not the server, and none is lost."""
    count = 2000
    async with ModelServer() as server, await Client.connect(server) as client:
        for _ in range(count):
            client.send(post())
        for _ in range(count):
            assert await said(client) == SEA


async def test_a_client_that_asks_to_close_is_closed():
    """The answer says so too."""
    async with ModelServer() as server, await Client.connect(server) as client:
        client.send(post("/v1/messages", "Connection: close"))

        _, fields, _ = await client.response()
        assert fields["connection"] == "close"
        assert await client.at_end()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_http_1_0_client_gets_its_answer_without_chunks(stream: bool):
    """An old client reads until the connection closes."""
    async with ModelServer() as server, await Client.connect(server) as client:
        client.send(post(stream=stream).replace(b"HTTP/1.1", b"HTTP/1.0"))

        status, fields, body = await client.response()
        assert status == 200
        assert "transfer-encoding" not in fields
        assert b"sea" in body
        assert await client.at_end()


async def test_a_chunked_body_is_read():
    """Clients that stream their request are understood."""
    request = post()
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [one for one in head.split(b"\r\n") if not one.startswith(b"Content-Length")]
    chunked = b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""])
    async with ModelServer() as server, await Client.connect(server) as client:
        client.send(chunked)
        for begin in range(0, len(body), 50):
            piece = body[begin : begin + 50]
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await client.writer.drain()
        client.send(b"0\r\n\r\n")

        assert await said(client) == SEA


async def test_a_client_that_waits_for_100_is_told_to_go_on():
    """The body comes only after that."""
    head, _, body = post("/v1/messages", "Expect: 100-continue").partition(b"\r\n\r\n")
    async with ModelServer() as server, await Client.connect(server) as client:
        client.send(head + b"\r\n\r\n")
        assert (await client.head())[0] == 100

        client.send(body)
        assert await said(client) == SEA


async def test_a_body_that_would_be_too_large_is_refused_before_it_is_sent():
    """A client that waits for 100 gets 413 instead."""
    head = get("/v1/messages", "POST", "Content-Length: 2000", "Expect: 100-continue")
    async with (
        ModelServer(max_request_bytes=1000) as server,
        await Client.connect(server) as client,
    ):
        client.send(head)

        assert (await client.response())[0] == 413
        assert await client.at_end()


async def test_head_gets_the_head_of_what_get_gets():
    """Same length, no body, and the connection stays in step."""
    async with ModelServer() as server, await Client.connect(server) as client:
        client.send(get("/v1/models", "HEAD") + get("/v1/models"))

        _, promised, _ = await client.response(body=False)
        _, _, body = await client.response()
        assert int(promised["content-length"]) == len(body)


# ---------------------------------------------------------------- where requests go


@pytest.mark.parametrize(
    ("request_bytes", "status", "shape"),
    [
        (get("/nope"), 404, "openai"),
        (get("/nope", "GET", "anthropic-version: 2023-06-01"), 404, "anthropic"),
        (get("/v1/messages/nope"), 404, "anthropic"),
        (get("/v1/messages"), 405, "anthropic"),
        (get("/v1/chat/completions"), 405, "openai"),
        (get("/v1/models", "DELETE"), 405, "openai"),
        (get("/v1/models/nope"), 404, "openai"),
        (get("/v1/models/holdfast%2Dextract-1"), 200, "openai"),
        (post(content=""), 400, "anthropic"),
        (post("/v1/chat/completions", n=2), 400, "openai"),
        (get("/v1/messages", "POST"), 400, "anthropic"),
        (get("/v1/messages", "POST", "Content-Length: 2") + b"[]", 400, "anthropic"),
        (get("/v1/messages", "POST", "Content-Length: 3") + b"NaN", 400, "anthropic"),
        (get("/v1/messages", "POST", "Content-Length: 2") + b"\xff\xfe", 400, "anthropic"),
        (get("/v1/messages", "POST", "Content-Length: 200000") + b"[" * 200_000, 400, "anthropic"),
    ],
    ids=range(15),
)
async def test_an_error_has_the_shape_of_the_protocol_that_was_spoken(request_bytes, status, shape):
    """Status, body and the field with the request's id."""
    async with ModelServer() as server, await Client.connect(server) as client:
        client.send(request_bytes)

        got, fields, body = await client.response()
        assert got == status
        if shape == "anthropic":
            assert json.loads(body)["type"] == "error"
            assert json.loads(body)["request_id"] == fields["request-id"]
        else:
            assert fields["x-request-id"].startswith("req_")
            assert ("error" in json.loads(body)) is (status != 200)
        assert (fields.get("allow") is not None) is (status == 405)


async def test_the_list_of_models_has_the_shape_of_who_asks():
    """One path, two protocols: the header of the Anthropic SDK tells them apart."""
    async with ModelServer() as server, await Client.connect(server) as client:
        client.send(get("/v1/models") + get("/v1/models", "GET", "anthropic-version: 2023-06-01"))

        openai = json.loads((await client.response())[2])
        anthropic = json.loads((await client.response())[2])
        assert openai["object"] == "list"
        assert anthropic["has_more"] is False


async def test_stats_and_the_front_page_are_served():
    """What stats() says can be had over HTTP, and does not count itself."""
    async with ModelServer() as server, await Client.connect(server) as client:
        client.send(post() + get("/stats") + get("/"))
        await said(client)

        figures = json.loads((await client.response())[2])
        assert figures == server.stats().to_json()
        assert (figures["requests"], figures["answered"]) == (1, 1)
        assert (figures["input_tokens"], figures["output_tokens"]) == (23, 7)
        assert "/v1/messages" in json.loads((await client.response())[2])["endpoints"]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000, 431),
        (
            b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"
            + b"x" * 300_000,
            413,
        ),
    ],
    ids=["line", "tls", "host", "version", "head", "body"],
)
async def test_what_is_no_request_is_answered_and_the_connection_closed(data: bytes, status: int):
    """The client gets to read why, even while it is still sending."""
    async with ModelServer() as server, await Client.connect(server) as client:
        client.send(data)

        got, fields, body = await client.response()
        assert got == status
        assert fields["connection"] == "close"
        assert json.loads(body)["error"]["message"]
        assert await client.at_end()
        assert server.stats().malformed == 1


async def test_a_request_that_does_not_arrive_is_given_up():
    """Half a request gets 408 after the request timeout."""
    async with ModelServer(request_timeout=0.05) as server, await Client.connect(server) as client:
        client.send(post()[:-5])

        status, _, body = await client.response()
        assert status == 408
        assert "did not arrive within 0.05 seconds" in json.loads(body)["error"]["message"]
        assert await client.at_end()


async def test_an_idle_connection_is_closed():
    """Before a request and after one, without a word."""
    async with ModelServer(idle_timeout=0.05) as server:
        async with await Client.connect(server) as fresh, await Client.connect(server) as used:
            used.send(post())
            assert await said(used) == SEA

            assert await fresh.at_end()
            assert await used.at_end()
        await until(lambda: server.stats().connections == 0)


async def test_one_connection_too_many_is_turned_away_and_room_is_used_again():
    """503 past the bound; a connection that closes makes room."""
    async with ModelServer(max_connections=1) as server:
        async with await Client.connect(server) as first:
            first.send(get("/stats"))
            await first.response()
            async with await Client.connect(server) as second:
                assert (await second.response())[0] == 503
                assert await second.at_end()
        await until(lambda: server.stats().connections == 0)
        async with await Client.connect(server) as third:
            third.send(post())
            assert await said(third) == SEA

    stats = server.stats()
    assert (stats.refused_connections, stats.peak_connections) == (1, 1)


async def test_past_the_rate_limit_a_call_is_told_when_to_come_again():
    """429 with whole seconds and with milliseconds; refused calls use nothing up."""
    async with (
        ModelServer(rate_limit=2, rate_period=60) as server,
        await Client.connect(server) as client,
    ):
        client.send(post(content="") + post() + post("/v1/chat/completions") + post())

        assert [(await client.response())[0] for _ in range(3)] == [400, 200, 200]
        status, fields, body = await client.response()
        assert status == 429
        assert 1 <= int(fields["retry-after"]) <= 30
        assert 29_000 < int(fields["retry-after-ms"]) <= 30_000
        assert json.loads(body)["error"]["type"] == "rate_limit_error"
        assert server.stats().rate_limited == 1


async def test_one_call_too_many_in_flight_is_overloaded():
    """529 for Anthropic, 503 for OpenAI, while the first is still being answered."""
    async with (
        ModelServer(hang_rate=1, max_concurrent=1) as server,
        await Client.connect(server) as first,
        await Client.connect(server) as second,
    ):
        first.send(post())
        await until(lambda: server.stats().in_flight == 1)
        second.send(post() + post("/v1/chat/completions"))

        assert (await second.response())[0] == 529
        assert (await second.response())[0] == 503


# ---------------------------------------------------------------- faults that were asked for


async def test_errors_come_as_500_or_overloaded():
    """Half of the injected errors are of each kind."""
    async with ModelServer(error_rate=1) as server, await Client.connect(server) as client:
        seen = set()
        for _ in range(20):
            client.send(post())
            seen.add((await client.response())[0])

        assert seen == {500, 529}
        assert server.stats().errors == 20


async def test_a_cut_answer_ends_before_its_length():
    """The client can tell that something is missing."""
    async with ModelServer(disconnect_rate=1) as server:
        async with await Client.connect(server) as client:
            client.send(post())
            with pytest.raises(asyncio.IncompleteReadError):
                await client.response()
        async with await Client.connect(server) as client:
            client.send(post(stream=True))
            with pytest.raises(asyncio.IncompleteReadError):
                await client.response()

    assert server.stats().disconnected == 2


@pytest.mark.parametrize("mode", ["dribble", "pause"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_stalled_answer_comes_whole_in_the_end(mode: str, stream: bool):
    """Slow is not broken."""
    async with (
        ModelServer(stall_rate=1, stall_mode=mode, stall_time=0.05) as server,
        await Client.connect(server) as client,
    ):
        client.send(post(stream=stream))

        _, _, body = await client.response()
        assert b"message_stop" in body if stream else json.loads(body)["content"][0]["text"] == SEA
        assert (server.stats().stalled, server.stats().answered) == (1, 1)


async def test_a_hanging_call_gets_nothing_and_ends_with_its_client():
    """No byte comes, and when the client leaves, nothing of the call is left."""
    async with ModelServer(hang_rate=1) as server:
        async with await Client.connect(server) as client:
            client.send(post())
            await until(lambda: server.stats().hung == 1)
            assert server.stats().in_flight == 1
        await until(lambda: server.stats().connections == 0)

        assert (server.stats().in_flight, server.stats().unfinished) == (0, 1)


async def test_a_stream_can_end_in_an_error_event():
    """The status was 200, the trouble comes in the stream."""
    async with ModelServer(stream_error_rate=1) as server, await Client.connect(server) as client:
        client.send(post(stream=True) + post("/v1/chat/completions", stream=True) + post())

        anthropic = (await client.response())[2]
        openai = (await client.response())[2]
        assert b"event: error\ndata: " in anthropic
        assert b"message_stop" not in anthropic
        assert b'data: {"error":' in openai
        assert b"[DONE]" not in openai
        assert await said(client) == SEA
        assert (server.stats().errors, server.stats().answered) == (2, 1)


# ---------------------------------------------------------------- clients that leave


async def test_a_client_that_leaves_in_the_middle_of_a_stream_ends_it():
    """The rest is not played to nobody."""
    async with ModelServer(token_latency=60) as server:
        async with await Client.connect(server) as client:
            client.send(post(stream=True))
            await client.reader.readuntil(b"content_block_delta")
        await until(lambda: server.stats().connections == 0)

        assert (server.stats().in_flight, server.stats().unfinished) == (0, 1)


async def test_a_client_that_resets_the_connection_is_forgotten():
    """A reset while the server streams is an end like any other."""
    async with ModelServer(token_latency=0.0005) as server:
        async with await Client.connect(server) as client:
            reset = client.writer.get_extra_info("socket")
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.send(post(stream=True))
            await client.reader.readuntil(b"content_block_delta")
            client.writer.transport.abort()
        await until(lambda: server.stats().connections == 0)

        assert server.stats().in_flight == 0


async def test_a_client_that_sends_half_a_request_and_leaves_is_forgotten():
    """Half a head or half a body needs no answer."""
    async with ModelServer() as server:
        for part in (post()[:20], post()[:-5]):
            async with await Client.connect(server) as client:
                client.send(part)
                await client.writer.drain()
        await until(lambda: server.stats().connections == 0)

    assert (server.stats().requests, server.stats().malformed) == (0, 0)


async def test_a_client_that_reads_nothing_is_dropped():
    """A stream that nobody reads does not fill the memory, and not for ever the connection."""
    loop = asyncio.get_running_loop()
    with socket.socket() as deaf:
        deaf.setblocking(False)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with ModelServer(idle_timeout=0.1) as server:
            host, _, port = server.base_url.removeprefix("http://").rpartition(":")
            await loop.sock_connect(deaf, (host, int(port)))
            # Each of 200 chunks repeats the model's name: 20 megabytes in all.
            long = post(
                "/v1/chat/completions", content="why " * 200, stream=True, model="m" * 100_000
            )
            await loop.sock_sendall(deaf, long)
            await until(lambda: server.stats().requests == 1)
            await until(lambda: server.stats().connections == 0)

    stats = server.stats()
    assert (stats.in_flight, stats.answered, stats.unfinished) == (0, 0, 1)


@pytest.fixture
async def crowd() -> AsyncIterator[list[Client]]:
    """Clients that are closed in the end, whatever the test did with them."""
    clients: list[Client] = []
    yield clients
    for client in clients:
        client.writer.close()


async def test_hundreds_of_clients_that_come_and_go_leave_nothing(crowd: list[Client]):
    """Some read, some leave early, some never speak: in the end there is none."""
    async with ModelServer(latency="uniform:0:0.02", token_latency=0.001) as server:
        crowd += await asyncio.gather(*(Client.connect(server) for _ in range(200)))
        for number, client in enumerate(crowd):
            if number % 4:
                client.send(post(stream=number % 4 == 1))
            if number % 4 == 3:
                client.writer.transport.abort()
        answers = await asyncio.gather(*(one.response() for one in crowd[1::4] + crowd[2::4]))
        for client in crowd:
            client.writer.close()
        await until(lambda: server.stats().connections == 0)

    stats = server.stats()
    assert {status for status, _, _ in answers} == {200}
    assert stats.in_flight == 0
    assert stats.answered >= 100
    assert stats.requests == stats.answered + stats.unfinished


# ---------------------------------------------------------------- the end of the server


async def test_an_answer_in_progress_is_finished_before_the_server_ends():
    """Grace is for those who wait."""
    async with ModelServer(latency=0.05, grace=30) as server:
        client = await Client.connect(server)
        client.send(post())
        await until(lambda: server.stats().in_flight == 1)

    async with client:
        assert await said(client) == SEA
        assert await client.at_end()
    assert server.stats().answered == 1


async def test_what_takes_longer_than_grace_is_ended():
    """Also without grace, the block ends and nothing is left."""
    async with ModelServer(latency=60, grace=0) as server:
        client = await Client.connect(server)
        client.send(post())
        await until(lambda: server.stats().in_flight == 1)

    async with client:
        assert await client.at_end()
    stats = server.stats()
    assert (stats.connections, stats.in_flight, stats.unfinished) == (0, 0, 1)


async def test_a_hanging_call_is_not_waited_for():
    """However long the grace, the server ends at once when only hanging calls are left."""
    async with ModelServer(hang_rate=1, grace=600) as server:
        client = await Client.connect(server)
        client.send(post())
        await until(lambda: server.stats().in_flight == 1)

    async with client:
        assert await client.at_end()


async def test_a_cancelled_test_leaves_no_server():
    """Cancellation inside the block, and again while it ends, closes everything."""
    started = asyncio.Event()
    server = ModelServer(latency=60, grace=600)

    async def run() -> None:
        async with server, await Client.connect(server) as client:
            client.send(post())
            await until(lambda: server.stats().in_flight == 1)
            started.set()
            # The client outlives the block's end: the server is the one to wait in grace.
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert server.stats().connections == 0
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.base_url


async def test_cancelling_the_grace_ends_the_answers_at_once():
    """Who does not want to wait any longer does not have to."""
    server = ModelServer(latency=60, grace=600)
    clients: list[Client] = []
    leaving = asyncio.Event()

    async def run() -> None:
        async with server:
            clients.append(await Client.connect(server))
            clients[0].send(post())
            await until(lambda: server.stats().in_flight == 1)
            leaving.set()

    task = asyncio.create_task(run())
    await leaving.wait()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with clients[0]:
        assert await clients[0].at_end()


async def test_the_port_is_free_again_and_the_server_can_run_again():
    """The second run counts from nothing."""
    server = ModelServer()
    async with server, await Client.connect(server) as client:
        client.send(post())
        await said(client)
        first = server.base_url
    again = ModelServer(port=int(first.rpartition(":")[2]))
    async with again:
        assert again.base_url == first
    async with server:
        assert server.stats().requests == 0


async def test_a_running_server_is_not_entered_twice():
    """One block, one server."""
    async with ModelServer() as server:
        with pytest.raises(RuntimeError, match="running already"):
            await server.__aenter__()
        with pytest.raises(RuntimeError, match="running already"):
            server.__enter__()


async def test_a_port_that_is_taken_is_an_error():
    """The system's own error, and nothing is left open."""
    async with ModelServer() as server:
        taken = int(server.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
            async with ModelServer(port=taken):
                pass


def test_a_server_that_never_ran_has_no_url_and_no_figures():
    """The errors say what to do."""
    with pytest.raises(RuntimeError, match="use it inside `with` or `async with`"):
        _ = ModelServer().base_url
    with pytest.raises(RuntimeError, match="has not run"):
        ModelServer().stats()


async def test_ipv6_is_served():
    """The URL has the brackets that it needs."""
    try:
        async with ModelServer(host="::1") as server, await Client.connect(server) as client:
            assert server.base_url.startswith("http://[::1]:")
            client.send(post())
            assert await said(client) == SEA
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


async def test_listening_everywhere_gives_a_url_that_can_be_used():
    """0.0.0.0 is no address for a client."""
    async with ModelServer(host="0.0.0.0") as server, await Client.connect(server) as client:  # noqa: S104
        assert server.base_url.startswith("http://127.0.0.1:")
        client.send(post())
        assert await said(client) == SEA


async def test_the_access_log_has_a_line_for_each_request(caplog: pytest.LogCaptureFixture):
    """Method, path, status and time; off unless asked for."""
    caplog.set_level(logging.INFO, "holdfast.testing.model_server")
    async with ModelServer() as quiet, await Client.connect(quiet) as client:
        client.send(post())
        await said(client)
    silent = caplog.text
    async with ModelServer(access_log=True) as server, await Client.connect(server) as client:
        client.send(post() + b"RUBBISH\r\n\r\n")
        await said(client)
        await client.response()

    assert silent == ""
    assert "POST /v1/messages 200 " in caplog.text
    assert "refused 400 bad request line" in caplog.text
