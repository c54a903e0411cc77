"""One turn of a stream of calls in processes: a permit and a worker, for one item after the other."""

from typing import TYPE_CHECKING, Any

from holdfast.errors import Rejected
from holdfast.pools._entry import WAITING
from holdfast.pools._process_calls import ProcessEntry
from holdfast.pools._process_payload import encode

if TYPE_CHECKING:
    from holdfast.pools._process_stream import ProcessStreamEngine

__all__ = ("Item", "ProcessTurn")


class Item:
    """One item of the input, and what has become of it so far."""

    __slots__ = ("attempts", "began", "index", "lost", "value")

    def __init__(self, index: int, value: Any) -> None:
        self.index = index
        self.value = value
        self.attempts = 1
        self.lost = 0  # times that its worker has died
        self.began = -1.0  # its first attempt


class ProcessTurn(ProcessEntry):
    """An entry of the pool's line; counted by its stream."""

    counted = False
    size = 0
    due: float | None = None

    def __init__(self, engine: "ProcessStreamEngine") -> None:
        self.engine = engine
        self.state = WAITING
        self.abandoned = False
        self.abandoned_at: float | None = None
        self.item: Item | None = None
        self.since = 0.0
        self.begun = False
        self.retired = False  # its worker is worn out
        self.left = False  # nobody waits for its item any more; it is counted as abandoned
        self.timeout = engine.options.timeout

    def accepted(self) -> None:
        """Never blocked: a turn is beyond the bound of the queue."""

    def refuse(self, error: Rejected) -> None:
        """The pool has closed."""
        self.engine.turn_refused(error)

    def prepare(self, now: float, *, shared: bool) -> bool:
        """Make the payload of the next item that can be sent; False if there is none."""
        engine = self.engine
        if not self.begun:
            self.begun = True
            self.since = now
            if not engine.begin_turn(self):
                return False
        while True:
            item = self.item
            assert item is not None  # noqa: S101 - given by the engine
            if item.began < 0.0:
                item.began = now
            try:
                self.kind, self.payload = encode(engine.fn, (item.value,), {}, shared=shared)
            except Exception as error:  # noqa: BLE001 - pickling runs anybody's code
                self.args = ()
                engine.put_outcome(item, None, error, 0.0)
                if not engine.next_item(self):
                    return False
                continue
            self.fn, self.args, self.kwargs = engine.fn, (item.value,), {}
            return True

    def settle(self, value: Any, error: BaseException | None, now: float) -> bool:
        """The item has its outcome; whether there is a further one for this turn."""
        item = self.item
        assert item is not None  # noqa: S101 - it was sent
        self.engine.put_outcome(item, value, error, now - item.began)
        return self.engine.next_item(self)
