"""One client's connection: reads requests, has them answered one by one, plays the replies.

Purpose: everything that can happen on one socket, driven by callbacks alone.
Guarantees: no task and at most one timer per connection. At most one request is being answered, the
next one only when the client has read enough of the answers before it, and of those that wait at
most ``_MOST_AHEAD`` bytes (and one read) are held. A client that leaves stops its reply at once,
unless it has sent more than that ahead: then when the reply is over.
Assumptions: a client that closes its writing side has left, since the two can't be told apart.
"""

import asyncio
import math
from typing import Protocol, cast

from holdfast._core import clock
from holdfast.testing.model_server._http.head import HttpError
from holdfast.testing.model_server._http.player import Player
from holdfast.testing.model_server._http.reader import Request, RequestReader
from holdfast.testing.model_server._http.reply import Reply

__all__ = ("Connection", "Handler", "House")

_MOST_AHEAD = 64 * 1024
# After a refusal, what the client still sends is thrown away for so long: closing at once would
# reset the connection, and the client might lose the refusal.
_LINGER_S = 2.0


class Handler(Protocol):
    """Who answers requests."""

    def handle(self, request: Request) -> Reply:
        """Answer a request."""
        ...

    def refuse(self, error: HttpError) -> Reply:
        """Answer what could not be read as a request."""
        ...


class House(Protocol):
    """What a connection needs from the listener that accepted it."""

    handler: Handler
    idle_timeout: float
    request_timeout: float

    def reader(self) -> RequestReader:
        """Make the reader for one connection."""
        ...

    def enter(self, connection: "Connection") -> bool:
        """Register an open connection; False if there is no room for it, and it has to close."""
        ...

    def leave(self, connection: "Connection", *, admitted: bool) -> None:
        """Forget a connection that is closed."""
        ...


class Connection(asyncio.Protocol):
    """One connection of a listener.

    Attributes:
        deadline: When, on ``clock.now()``, patience with the client ends; the listener watches it.
    """

    _transport: asyncio.Transport

    def __init__(self, house: House) -> None:
        self._house = house
        self._reader = house.reader()
        self._player: Player | None = None
        self._admitted = False
        self._receiving = False
        self._refusing = False
        self._last = False
        self._reading_paused = False
        self._full = False
        self.deadline = math.inf

    # ------------------------------------------------------------ what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or turn it away."""
        self._transport = cast("asyncio.Transport", transport)
        self._admitted = self._house.enter(self)
        if self._admitted:
            self.deadline = clock.now() + self._house.idle_timeout
            return
        self._last = True
        refusal = self._house.handler.refuse(HttpError(503, "too many connections; try again"))
        self._transport.write(b"".join(data for _, data in refusal.steps))
        self._close()

    def data_received(self, data: bytes) -> None:
        """Read on, or throw away what comes after the last request."""
        if self._refusing or self._last:
            return
        self._reader.feed(data)
        if self._player is None and not self._full:
            self._serve_next()
        elif self._reader.buffered > _MOST_AHEAD:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool | None:
        """Let the transport close: the client has left."""
        return None

    def pause_writing(self) -> None:
        """Hold what is to be sent, and do not wait for ever for a client that reads nothing."""
        self._full = True
        if self._player is not None:
            self._player.hold()
        self.deadline = clock.now() + self._house.idle_timeout

    def resume_writing(self) -> None:
        """Go on with the reply, or with the next request."""
        self._full = False
        if self._player is not None:
            self.deadline = math.inf
            self._player.go_on()
        else:
            self._go_on_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the reply and leave."""
        self._last = True
        if self._player is not None:
            self._player.stop()
            self._player = None
        self._house.leave(self, admitted=self._admitted)

    # ------------------------------------------------------------ what the listener says

    def expire(self) -> None:
        """End the connection: its deadline has passed."""
        if self._receiving:
            seconds = self._house.request_timeout
            self._refuse(HttpError(408, f"the request did not arrive within {seconds:g} seconds"))
        elif self._player is None and not self._refusing and not self._transport.is_closing():
            self._close()
        else:
            self._transport.abort()

    def finish(self) -> None:
        """End the connection when the answer in progress is sent, at once if there is none."""
        self._last = True
        if self._player is None:
            self._close()
        elif self._player.never_ends:
            self._transport.abort()

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    # ------------------------------------------------------------ one request after the other

    def _serve_next(self) -> None:
        if self._last or self._full or self._player is not None:
            return
        try:
            request = self._reader.poll()
        except HttpError as error:
            self._refuse(error)
            return
        if request is None:
            self._expect_more()
            return
        self._receiving = False
        self._play(self._house.handler.handle(request))

    def _expect_more(self) -> None:
        if self._reader.started and not self._receiving:
            self._receiving = True
            self.deadline = clock.now() + self._house.request_timeout
        if self._reader.take_continue():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, error: HttpError) -> None:
        self._receiving = False
        self._refusing = True
        self._play(self._house.handler.refuse(error))

    def _play(self, reply: Reply) -> None:
        self.deadline = math.inf
        self._last = self._last or not reply.keep_alive
        self._player = Player(reply, self._transport, self._reply_sent)
        self._player.play()

    def _reply_sent(self) -> None:
        self._player = None
        if self._refusing:
            self._linger()
            return
        if self._last:
            self._close()
            return
        self.deadline = clock.now() + self._house.idle_timeout
        # A client that sends and does not read gets no further answers to pile up.
        if not self._full:
            self._go_on_reading()

    def _go_on_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        if self._reader.started:
            # In the loop's next round, so that one busy client does not hold up the others.
            asyncio.get_running_loop().call_soon(self._serve_next)

    def _linger(self) -> None:
        self.deadline = clock.now() + _LINGER_S
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _close(self) -> None:
        self.deadline = clock.now() + self._house.idle_timeout
        self._transport.close()
