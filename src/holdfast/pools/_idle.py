"""The idle workers of one thread pool: the one that was busy last is sent first.

One of them may have the *hot seat*: it waits on a pipe, which wakes it in the moment in which its waker
lets go of the interpreter; the others wait on a lock each. All under the pool's lock.

A worker takes itself out when it arrives at the line, so whoever sends it changes nothing here.
"""

from holdfast._core.latch import PipeLatch, borrow_latch, give_back_latch
from holdfast.pools._worker import Worker

__all__ = ("IdleStack",)


class IdleStack:
    """Last in, first out."""

    __slots__ = ("_seat", "_seat_taken", "_workers", "hot", "prompt")

    def __init__(self) -> None:
        self._workers: list[Worker] = []
        self.hot: Worker | None = None  # sits on the hot seat, and is sent before the others
        self._seat: PipeLatch | None = None
        self._seat_taken = False
        # Whether a woken worker should run at once, as a loop wants it, or when its waker waits: a
        # thread that submits one call after the other would lose the interpreter at each.
        self.prompt = True

    def push(self, worker: Worker) -> None:
        """The worker is idle; the first one takes the hot seat, the next to be sent."""
        worker.resting = True
        if worker.latch is not worker.lock:
            if self.prompt:  # it still has the seat
                self.hot = worker
                return
            worker.latch = worker.lock
            self._seat_taken = False
        if self.prompt and not self._seat_taken:
            if self._seat is None:
                self._seat = borrow_latch()
            if self._seat is not None:
                self._seat_taken = True
                self.hot = worker
                worker.latch = self._seat
                return
        self._workers.append(worker)

    def newest(self) -> Worker | None:
        """The worker to be sent next; it stays."""
        if self.hot is not None:
            return self.hot
        return self._workers[-1] if self._workers else None

    def oldest(self) -> Worker | None:
        """The worker that has been idle for longest, if not for the hot seat; it stays."""
        return self._workers[0] if self._workers else self.hot

    def take_out(self, worker: Worker) -> None:
        """The worker is not idle any more, if it still was; its latch may still be to be released."""
        if self.hot is worker:
            self.hot = None
        elif self._workers and self._workers[-1] is worker:
            self._workers.pop()
        elif worker in self._workers:
            self._workers.remove(worker)
        worker.resting = False

    def all(self) -> list[Worker]:
        """All that are idle; they stay."""
        return self._workers.copy() if self.hot is None else [*self._workers, self.hot]

    def stand_up(self, worker: Worker) -> None:
        """The worker is about to leave."""
        self.take_out(worker)
        if worker.latch is not worker.lock:
            worker.latch = worker.lock
            self._seat_taken = False

    def put_seat_away(self) -> None:
        """Nobody is left to sit on it. It does not go back into the stock: it might be open."""
        if self._seat is not None:
            give_back_latch(self._seat, broken_off=True)
            self._seat = None
