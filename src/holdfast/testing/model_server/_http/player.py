"""Plays a reply's script on a connection: waits, writes, and stops at once when it must."""

import asyncio
import logging
from collections.abc import Callable

from holdfast.testing.model_server._http.reply import NEVER, Reply

__all__ = ("Player",)

# Steps without a pause between them go out in one write, up to this many bytes.
_WRITE_BYTES = 64 * 1024

logger = logging.getLogger("holdfast.testing.model_server")


class Player:
    """One reply on its way out.

    Purpose: pauses without a task: between two steps there is one timer, and nothing else.
    Guarantees: ``reply.ended`` is called exactly once; ``on_end`` only when the whole script was
    sent; after ``stop`` nothing is written and no timer is left.
    Assumptions: all methods are called in the loop's thread.
    """

    def __init__(
        self, reply: Reply, transport: asyncio.Transport, on_end: Callable[[], None]
    ) -> None:
        self._reply = reply
        self._transport = transport
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None
        self._held = b""
        self._full = False
        self._over = False
        self.never_ends = False

    def play(self) -> None:
        """Send what is due, then wait for the next step's time or for room to write."""
        try:
            self._play()
        except Exception:  # a fault of this server must not leave a client waiting
            logger.exception("the model server failed to write a reply")
            self._transport.abort()

    def _play(self) -> None:
        self._timer = None
        due = bytearray(self._held)
        self._held = b""
        for pause, data in self._reply.steps:
            if pause > 0:
                self._write(due)
                self._held = data
                self._wait(pause)
                return
            due += data
            if len(due) >= _WRITE_BYTES:
                self._write(due)
                due = bytearray()
                if self._full or self._stopped():
                    return
        self._write(due)
        if not self._stopped():
            self._over = True
            self._reply.ended(True)
            self._on_end()

    def _stopped(self) -> bool:
        # A transport that is closing has an end to report, and that will call stop.
        return self._over or self._transport.is_closing()

    def _write(self, data: bytearray) -> None:
        if data and not self._stopped():
            self._transport.write(bytes(data))

    def _wait(self, pause: float) -> None:
        if pause == NEVER:
            self.never_ends = True
        elif not self._stopped():
            self._timer = asyncio.get_running_loop().call_later(pause, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        if not self._full and not self._stopped():
            self.play()

    def hold(self) -> None:
        """Send nothing more for now: the client does not read."""
        self._full = True

    def go_on(self) -> None:
        """There is room again."""
        self._full = False
        if self._timer is None and not self._stopped() and not self.never_ends:
            self.play()

    def stop(self) -> None:
        """Send nothing more, ever."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._over:
            self._over = True
            self._reply.ended(False)
