"""One turn of a stream of calls in processes: a permit and a worker, for one item after the other.

Items that are quick are sent ahead: the worker finds the next one in its pipe when it has answered the
last, and nobody has to be woken in between. It reads and runs one at a time, and answers before it
reads the next, so of those that were sent only the first may have begun. What has not begun is taken
back, out of the pipe, when the one before it turns out to be slow, and when the worker has died: the
kernel gives each slot to one reader.
"""

import sys
from collections import deque
from typing import Any, Final

from holdfast.errors import Rejected
from holdfast.pools._child import wire
from holdfast.pools._entry import WAITING
from holdfast.pools._process_calls import ProcessEntry
from holdfast.pools._process_payload import Payload, encode
from holdfast.pools._process_worker import WorkerProcess

__all__ = ("DEEPEST", "Item", "ProcessTurn")

DEEPEST: Final = 32
"""Most items that are with one worker at once."""

_PADDED: Final = wire.SLOT - wire.SLOT_TAIL.size
_SLOTS: Final = sys.platform == "linux"  # where a pipe can be opened from its other end


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
    """An entry of the pool's line; counted by its stream. What is ``sent`` is first come, first run."""

    counted = False
    size = 0
    due: float | None = None

    def __init__(self, engine: Any) -> None:
        self.engine: Any = engine  # a ProcessStreamEngine, which imports this
        self.state = WAITING
        self.abandoned = False
        self.abandoned_at: float | None = None
        self.sent: deque[Item] = deque()
        self.since = 0.0
        self.begun = False
        self.served = False  # it has been given an item
        self.retired = False  # its worker is worn out
        self.left = False  # nobody waits for its item any more; it is counted as abandoned
        self.timeout = engine.options.timeout

    def accepted(self) -> None:
        """Never blocked: a turn is beyond the bound of the queue."""

    def refuse(self, error: Rejected) -> None:
        """The pool has closed."""
        self.engine.turn_refused(error)

    def send(self, worker: WorkerProcess, now: float, *, shared: bool) -> bool:
        """Write further items, as many as are to be with a worker; False if none is with it then.

        Raises:
            BrokenPipeError: The process is gone. What was not read is taken back when it is buried.
        """
        engine = self.engine
        if not self.begun:
            self.begun = True
            self.since = now
            engine.begin_turn(self)
        ahead: list[bytes] = []
        depth = min(engine.depth, worker.slots) if _SLOTS and shared else 1
        while len(self.sent) < depth:
            item = engine.next_item(self)
            if item is None:
                break
            if item.began < 0.0:
                item.began = now
            try:
                kind, payload = encode(engine.fn, (item.value,), {}, shared=shared)
                if engine.pace is not None:
                    engine.pace.charge(item.value)
            except Exception as error:  # noqa: BLE001 - anybody's code pickles and weighs
                engine.put_outcome(item, None, error, 0.0)
                continue
            self.kind = kind
            if type(payload) is bytes and len(payload) <= _PADDED and _SLOTS and shared:
                self.sent.append(item)
                tail = wire.SLOT_TAIL.pack(item.index & _MASK)
                ahead.append(payload.ljust(_PADDED, b"\0") + tail)
            elif self.sent:
                engine.put_back(item, hire=False)
                break
            else:
                self.sent.append(item)
                self._send_alone(worker, item, kind, payload)
                return True
        # From the moment of the writing on, what was sent is the hub's to take out again.
        going = bool(self.sent)
        if ahead:
            worker.send_raw(b"".join(ahead))
        return going

    def _send_alone(self, worker: WorkerProcess, item: Item, kind: int, payload: Payload) -> None:
        if isinstance(payload, bytes):
            worker.send_message(payload)
        elif payload is None:
            nothing: dict[str, Any] = {}
            worker.send(kind, worker.arena.dump((self.engine.fn, (item.value,), nothing)))
        else:
            worker.send(kind, worker.arena.put(*payload))

    def take_back(self, worker: WorkerProcess) -> list[Item]:
        """Take back what has been sent and not begun."""
        taken = worker.take_back()
        if not taken or len(taken) % wire.SLOT:
            return []
        numbers = {
            wire.SLOT_TAIL.unpack_from(taken, end - wire.SLOT_TAIL.size)[0]
            for end in range(wire.SLOT, len(taken) + 1, wire.SLOT)
        }
        back = [item for item in self.sent if item.index & _MASK in numbers]
        self.sent = deque(item for item in self.sent if item.index & _MASK not in numbers)
        return back


_MASK: Final = 0xFFFFFFFF
