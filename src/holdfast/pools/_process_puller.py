"""Pulls an input that may block, or run anybody's code, on a thread of its own."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Protocol

from holdfast._core import clock
from holdfast.pools._threads import start_thread

__all__ = ("Puller",)


class PullHost(Protocol):
    """What a puller asks of its engine."""

    def put_pulled(self, item: Any) -> bool:
        """One more item; False if the stream is over."""
        ...

    def no_room(self) -> bool:
        """Whether no item may be pulled now; then :meth:`Puller.resume` will be called."""
        ...

    def fail_input(self, error: BaseException) -> None:
        """The input has raised."""
        ...

    def check_end(self) -> None:
        """Declare the end, if nothing more will come."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether nothing more is wanted."""
        ...

    def input_ended(self) -> None:
        """Nothing more will come."""
        ...


class Puller:
    """One thread, from the start of a stream to the end of its input."""

    def __init__(self, host: PullHost, take: Callable[[], Any]) -> None:
        self._host = host
        self._take = take
        self._latch = threading.Lock()
        self._latch.acquire()
        self.over = False

    def start(self, name: str) -> None:
        """Begin.

        Raises:
            RuntimeError: The system refused the thread.
        """
        start_thread(name, self._run)

    def resume(self) -> None:
        """There is room again, or the stream is over; from any thread."""
        if self._latch.locked():
            with contextlib.suppress(RuntimeError):  # somebody else was quicker
                self._latch.release()

    def _run(self) -> None:
        host = self._host
        try:
            while not host.stopped:
                if host.no_room():
                    clock.current().acquire(self._latch, None)
                    continue
                if not host.put_pulled(self._take()):
                    break
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - the input's error ends the stream, whatever it is
            host.fail_input(error)
        self.over = True
        host.input_ended()
        host.check_end()
