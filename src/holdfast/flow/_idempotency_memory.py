"""Outcomes in memory: for as long as the process lives, within a bound of number and of age."""

import itertools
import os
import threading
from collections import OrderedDict
from typing import Any

from holdfast._core import check, clock
from holdfast.errors import QueueFull
from holdfast.flow._flight_error import own_copy
from holdfast.flow._flight_ring import shown
from holdfast.flow._idempotency_record import Claim, Record, State, age

__all__ = ("MemoryStore",)


class _Entry:
    """One key, as it stands."""

    __slots__ = ("at", "claim", "error", "state", "value")

    def __init__(self, claim: Claim, at: float) -> None:
        self.state: State = "started"
        self.claim = claim
        self.at = at
        self.value: Any = None
        self.error: BaseException | None = None


class MemoryStore:
    """Outcomes in the memory of this process. An :class:`IdempotencyStore`.

    At the bound, the oldest settled outcome makes room; work without an outcome never does. If there is
    nothing but that, :meth:`begin` raises :class:`~holdfast.errors.QueueFull`. The results are kept as
    they are: who changes one changes what the next caller gets.

    Args:
        max_records: Most keys that are kept, at least 1.
        max_age: Seconds after its last change at which a key is forgotten; longer than the work takes.

    Example:
        >>> store = MemoryStore(max_records=1000, max_age=600)
        >>> claim = store.begin("order-17")
        >>> claim.attempt, store.settle("order-17", claim, "paid", None)
        (1, True)
        >>> store.begin("order-17").value
        'paid'
    """

    __slots__ = ("_clock", "_lock", "_max_age", "_max_records", "_settled", "_started", "_tokens")

    blocking = False

    def __init__(self, *, max_records: int = 10_000, max_age: float = 3600.0) -> None:
        self._max_records = check.count("max_records", max_records, least=1)
        self._max_age = age(max_age)
        self._clock = clock.current()
        self._lock = threading.Lock()
        self._tokens = itertools.count()
        # Both in the order of their last change, so the first of each is the first to expire.
        self._started: OrderedDict[str, _Entry] = OrderedDict()
        self._settled: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._started) + len(self._settled)

    def __repr__(self) -> str:
        return (
            f"<MemoryStore: {len(self._settled)} settled, {len(self._started)} started, "
            f"at most {self._max_records}>"
        )

    def begin(self, key: str, *, take_over: bool = False) -> Claim | Record:
        """Do the same as :meth:`IdempotencyStore.begin`.

        Raises:
            QueueFull: There are ``max_records`` keys whose work has left no outcome.
        """
        now = self._clock.now()
        with self._lock:
            self._expire(now)
            entry = self._find(key)
            if entry is None:
                self._make_room()
                entry = self._started[key] = _Entry(self._claim(1), now)
                return entry.claim
            if entry.state == "started" and take_over:
                entry.claim = self._claim(entry.claim.attempt + 1)
                entry.at = now
                self._started.move_to_end(key)
                return entry.claim
            return self._record(key, entry, now)

    def settle(self, key: str, claim: Claim, value: Any, error: BaseException | None) -> bool:
        """Do the same as :meth:`IdempotencyStore.settle`."""
        now = self._clock.now()
        with self._lock:
            entry = self._started.get(key)
            if entry is None or entry.claim != claim:
                return False
            del self._started[key]
            entry.state = "done" if error is None else "failed"
            entry.value = value
            entry.error = None if error is None else _to_keep(error)
            entry.at = now
            self._settled[key] = entry
            return True

    def forget(self, key: str, claim: Claim | None = None) -> bool:
        """Do the same as :meth:`IdempotencyStore.forget`."""
        with self._lock:
            entry = self._started.get(key)
            if entry is not None and claim in {None, entry.claim}:
                del self._started[key]
                return True
            return claim is None and self._settled.pop(key, None) is not None

    def get(self, key: str) -> Record | None:
        """Return what is known of ``key``, or None."""
        now = self._clock.now()
        with self._lock:
            self._expire(now)
            entry = self._find(key)
            return None if entry is None else self._record(key, entry, now)

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._started.clear()
            self._settled.clear()

    # ------------------------------------------------------------ inside, under the lock

    def _claim(self, attempt: int) -> Claim:
        return Claim(attempt, str(next(self._tokens)))

    def _find(self, key: str) -> _Entry | None:
        return self._settled.get(key) or self._started.get(key)

    def _expire(self, now: float) -> None:
        too_old = now - self._max_age
        for entries in (self._settled, self._started):
            while entries:
                key, entry = next(iter(entries.items()))
                if entry.at > too_old:
                    break
                del entries[key]

    def _make_room(self) -> None:
        if len(self) < self._max_records:
            return
        if not self._settled:
            msg = (
                f"the store is full: work for {len(self._started)} keys (max_records="
                f"{self._max_records}) has left no outcome; raise max_records, or forget some, such as "
                f"{shown(next(iter(self._started)))}"
            )
            raise QueueFull(msg)
        self._settled.popitem(last=False)

    def _record(self, key: str, entry: _Entry, now: float) -> Record:
        return Record(
            key=key,
            state=entry.state,
            attempt=entry.claim.attempt,
            owner=f"process {os.getpid()}",
            age_s=now - entry.at,
            value=entry.value,
            error=entry.error,
        )


def _to_keep(error: BaseException) -> BaseException:
    """The error without the frames that it came through, which hold whatever their locals hold."""
    kept = own_copy(error)
    if kept is not error:
        kept.__cause__ = None
    return kept
