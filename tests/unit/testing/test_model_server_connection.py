"""One connection, on a transport that is told when to be full."""

import asyncio
from collections.abc import Iterator

from holdfast.testing.model_server._http.connection import Connection
from holdfast.testing.model_server._http.head import HttpError
from holdfast.testing.model_server._http.reader import Request, RequestReader
from holdfast.testing.model_server._http.reply import Reply, Step

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that can be full."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection(Shop())
        self.written = b""
        self.room = 1_000_000
        self.closing = False
        self.half_closed = False
        self.reading = True
        self.connection.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        full = len(self.written) >= self.room
        self.written += bytes(data)
        # As asyncio does: once when it gets full, and not again until there was room.
        if not full and len(self.written) >= self.room:
            self.connection.pause_writing()

    def make_room(self) -> None:
        self.written = b""
        self.connection.resume_writing()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True


class Shop:
    """A house that answers every request by one line."""

    idle_timeout = 60.0
    request_timeout = 60.0

    def __init__(self) -> None:
        self.handler = self
        self.handled = 0
        self.pause = 0.0
        self.inside: set[Connection] = set()

    def handle(self, request: Request) -> Reply:
        self.handled += 1

        def steps() -> Iterator[Step]:
            yield self.pause, b"%d\n" % self.handled

        return Reply(200, steps(), request.head.keep_alive)

    def refuse(self, error: HttpError) -> Reply:
        return Reply(error.status, iter([(0.0, b"refused\n")]), keep_alive=False)

    def reader(self) -> RequestReader:
        return RequestReader(max_head=1000, max_body=1000)

    def enter(self, connection: Connection) -> bool:
        self.inside.add(connection)
        return True

    def leave(self, connection: Connection, *, admitted: bool) -> None:
        assert admitted
        self.inside.remove(connection)


async def rounds(count: int) -> None:
    """Let the loop run for some rounds."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_requests_sent_at_once_are_answered_one_in_each_round():
    """One busy client leaves room for others in the loop."""
    wire = Wire()

    wire.connection.data_received(GET * 3)
    first = wire.written
    await rounds(5)

    assert first == b"1\n"
    assert wire.written == b"1\n2\n3\n"


async def test_a_client_that_reads_nothing_gets_no_further_answers():
    """Answers do not pile up: what is not read is not produced, however much is asked."""
    wire = Wire()
    wire.room = 4

    wire.connection.data_received(GET * 5)
    await rounds(10)
    for _ in range(10_000):
        if wire.reading:
            wire.connection.data_received(GET * 100)
    await rounds(10)
    piled = wire.written
    wire.make_room()
    await rounds(10)

    assert piled == b"1\n2\n"
    assert wire.written == b"3\n4\n"


async def test_what_is_sent_ahead_is_bounded():
    """Reading stops while requests wait, and goes on when they are served."""
    wire = Wire()
    wire.room = 1
    sent = 0

    wire.connection.data_received(GET)
    while wire.reading:
        wire.connection.data_received(GET * 10)
        sent += 10 * len(GET)
    stopped_at = sent
    wire.make_room()
    await rounds(5)

    assert 64 * 1024 < stopped_at < 80 * 1024
    assert wire.reading


async def test_a_request_that_comes_just_before_its_turn_does_not_get_past_a_full_transport():
    """The next request's turn is in the next round; by then there may be no room any more."""
    wire = Wire()
    wire.room = 4

    wire.connection.data_received(GET + GET[:5])
    wire.connection.data_received(GET[5:] + GET * 3)
    await rounds(5)

    assert wire.written == b"1\n2\n"


async def test_a_client_that_is_held_back_stays_so_while_the_transport_is_full():
    """The end of an answer is no reason to read on; room to write is."""
    wire = Wire()
    wire.connection._house.pause = 0.001
    wire.room = 1
    wire.connection.data_received(GET)
    while wire.reading:
        wire.connection.data_received(GET * 10)

    while not wire.written:
        await asyncio.sleep(0.001)
    await rounds(5)
    while_full = wire.reading
    wire.make_room()

    assert (while_full, wire.reading) == (False, True)
    wire.connection.connection_lost(None)


async def test_a_refusal_ends_the_conversation_but_not_at_once():
    """Nothing after it is read; closing with unread data would take the refusal from the client."""
    wire = Wire()

    wire.connection.data_received(b"RUBBISH\r\n\r\n" + GET)
    wire.connection.data_received(GET)
    await rounds(5)
    lingering = (wire.half_closed, wire.closing)
    wire.connection.expire()

    assert wire.written == b"refused\n"
    assert (lingering, wire.closing) == ((True, False), True)


async def test_a_lost_connection_is_forgotten():
    """Whatever was going on."""
    wire = Wire()
    shop = wire.connection._house
    wire.connection.data_received(GET[:5])

    wire.connection.connection_lost(None)
    wire.connection.data_received(GET[5:])
    await rounds(5)

    assert (wire.written, shop.inside, shop.handled) == (b"", set(), 0)
