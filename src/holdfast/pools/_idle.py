"""The idle workers of one thread pool: the one that was busy last is sent first.

One of them may have the *hot seat*: it waits on an eventfd, which wakes it in the moment in which its
waker lets go of the interpreter; the others wait on a lock each. All under the pool's lock.
"""

from holdfast._core.latch import EventLatch, borrow_latch, give_back_latch
from holdfast.pools._worker import Worker

__all__ = ("IdleStack",)


class IdleStack:
    """Last in, first out; anyone can leave in O(1)."""

    __slots__ = ("_hot", "_seat", "_seat_taken", "_workers", "prompt")

    def __init__(self) -> None:
        self._workers: dict[Worker, None] = {}
        self._hot: Worker | None = None
        self._seat: EventLatch | None = None
        self._seat_taken = False
        # Whether a woken worker should run at once, as a loop wants it, or when its waker waits: a
        # thread that submits one call after the other would lose the interpreter at each.
        self.prompt = True

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, worker: Worker) -> bool:
        return worker in self._workers

    def push(self, worker: Worker) -> None:
        """The worker is idle; the first one takes the hot seat, the next to be sent."""
        self._workers[worker] = None
        if self.prompt and not self._seat_taken:
            if self._seat is None:
                self._seat = borrow_latch()
            if self._seat is not None:
                self._seat_taken = True
                self._hot = worker
                worker.latch = self._seat

    def pop(self) -> Worker:
        """Take the worker to be sent; its latch is still to be released."""
        worker = self._hot
        if worker is None:
            worker, _ = self._workers.popitem()
        else:
            self._hot = None
            del self._workers[worker]
        return worker

    def pop_oldest(self) -> Worker:
        """Take the worker that has been idle for longest; its latch is still to be released."""
        worker = next(iter(self._workers))
        self._take_out(worker)
        return worker

    def pop_all(self) -> list[Worker]:
        """Take all; their latches are still to be released."""
        workers = list(self._workers)
        self._workers.clear()
        self._hot = None
        return workers

    def give_up(self, worker: Worker) -> None:
        """The worker has waited long enough, and nobody is about to wake it."""
        self._take_out(worker)
        if worker.latch is not worker.lock:
            self.rise(worker)

    def rise(self, worker: Worker) -> None:
        """The worker on the hot seat is awake, so nobody will release its latch any more."""
        worker.latch = worker.lock
        self._seat_taken = False

    def put_seat_away(self) -> None:
        """Nobody is left to sit on it."""
        if self._seat is not None:
            give_back_latch(self._seat)
            self._seat = None

    def _take_out(self, worker: Worker) -> None:
        del self._workers[worker]
        if self._hot is worker:
            self._hot = None
