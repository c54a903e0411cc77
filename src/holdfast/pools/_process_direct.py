"""A thread that waits for its call reads the reply by itself: no other thread is woken for it.

Purpose: the round trip of one call costs one hop to the worker and one back. A hop between threads of
this process would cost more than both.

How it is decided who reads: a call that is alone in flight, of a thread that may be about to wait for it,
is left *unattended*: the hub does not listen. If nobody has begun to wait some milliseconds later, the hub
does. The second call that comes has the first one attended at once.

Why nothing is lost by an interrupt: what is read goes into a buffer that the worker's record keeps, whose
head was zero before and says afterwards how much there is; and the few steps that end the call are done
under the lock, with no call in between at which an interrupt could come. What is unusual in any way is
left to the hub.
"""

import math
import os
from _pickle import loads
from marshal import loads as load_plain
from typing import Any, Final

from holdfast.pools._child import wire
from holdfast.pools._entry import ENDED
from holdfast.pools._process_calls import ProcessSubmittedCall
from holdfast.pools._process_crew import Crew
from holdfast.pools._process_hub import HUB
from holdfast.pools._process_worker import BUSY, DEAD, IDLE, WorkerProcess

__all__ = ("SOON", "DirectWait")

SOON: Final = 0.003
"""Seconds for which a reply may lie unread, if the caller was expected to wait for it and does not."""

_LOOK_MS: Final = 200
"""Milliseconds after which who reads for himself looks whether somebody else has settled his call."""

_KIND_AT: Final = 4
"""Where the head of a message says what it is, which is never 0: a buffer with 0 there is empty."""

_readv: Final = os.readv
_unpack: Final = wire.HEAD.unpack_from
_HEAD_SIZE: Final = wire.HEAD_SIZE
_PLAIN: Final = wire.PLAIN


class DirectWait(Crew):
    """The part of a core that decides who reads a reply."""

    clock: Any
    _in_real_time = True  # else only the clock's own latches know how long to wait
    _lone: WorkerProcess | None = None  # whose caller is expected to read the reply himself
    _was_lone = False

    def take_messages(self, worker: WorkerProcess) -> None:
        """Act on what has been read of a worker."""
        raise AssertionError("abstract")  # noqa: EM101 - the core has it

    def _lose_if_dead(self, worker: WorkerProcess) -> None:
        raise AssertionError("abstract")  # noqa: EM101 - the core has it

    def _unwatch(self, call: Any) -> None:
        raise AssertionError("abstract")  # noqa: EM101 - the core has it

    def _note_times(self, call: Any, ran: float) -> None:
        raise AssertionError("abstract")  # noqa: EM101 - the core has it

    # ------------------------------------------------------------ who reads

    def _choose_reader(self, worker: WorkerProcess, *, prompt: bool) -> None:
        """Before a call is written: the hub reads its reply, or its caller is expected to."""
        if prompt and worker.poll is not None:
            if worker.attended:
                worker.attended = False
                if worker.listened:
                    worker.listened = False
                    HUB.unlisten(worker.reading_fd)
            self._lone = worker
            self._was_lone = True
            guard = worker.started + SOON
            if guard < HUB.wakes_at:
                HUB.need(guard)
            return
        lone = self._lone
        if lone is not None:
            self._lone = None
            if lone is not worker:
                self.attend_worker(lone)
        if not worker.attended:
            self.attend_worker(worker)

    def attend_worker(self, worker: WorkerProcess) -> None:
        """Have the hub read what the worker says, unless somebody else does just now."""
        with self._lock:
            if worker.attended or worker.reader or worker.state == DEAD:
                return
            worker.attended = True
            self._listen(worker)
        if worker.inbox[_KIND_AT]:
            HUB.post(lambda: self._take_over(worker))

    def attend(self, call: ProcessSubmittedCall) -> None:
        """Somebody waits for the call in a way that does not read."""
        worker = call.worker
        if worker is not None and not worker.attended:
            self.attend_worker(worker)

    def awaited(self, call: ProcessSubmittedCall) -> None:
        """Somebody blocks until the call ends, and the hub reads its reply."""
        self.attend(call)

    # ------------------------------------------------------------ reading

    def wait_directly(self, call: ProcessSubmittedCall, timeout: float | None) -> bool:
        """Wait for the reply and read it in this thread; False if it will come in the usual way.

        Raises:
            TimeoutError: It has not come in so many seconds.
        """
        worker = call.worker
        if worker is None or worker.attended | worker.reader or not self._in_real_time:
            return False
        mine = done = False
        try:
            with self._lock:
                if (
                    worker.call is call
                    and worker.state == BUSY
                    and not worker.attended
                    and not worker.reader
                    and not worker.sending
                ):
                    mine = worker.reader = True
            if mine:
                done = self._read_own(worker, call, timeout)
        finally:
            if mine and not done:
                worker.reader = False
                HUB.post(lambda: self._take_over(worker))
        return done

    def _read_own(
        self, worker: WorkerProcess, call: ProcessSubmittedCall, timeout: float | None
    ) -> bool:
        poll = worker.poll
        assert poll is not None  # noqa: S101 - else it is attended
        if timeout is not None or not poll.poll(_LOOK_MS):
            until = math.inf if timeout is None else self.now() + timeout
            while not poll.poll(max(0.0, min(_LOOK_MS, (until - self.now()) * 1000.0))):
                if call.done() or worker.status is not None:
                    return False
                if self.now() >= until:
                    raise TimeoutError
        worker.got = -1
        worker.got = got = _readv(worker.reading_fd, worker.into)
        if not got:
            return False
        size, kind = _unpack(worker.inbox)
        if got != _HEAD_SIZE + size:
            return False
        try:
            if kind == _PLAIN:
                value = load_plain(worker.body)  # noqa: S302 - of a process of ours
            elif kind == wire.VALUE:
                value = loads(worker.body)
            elif kind != wire.VALUE | wire.SHARED:
                return False
            else:
                value = worker.arena.load(bytes(worker.body[:size]))
        except Exception:  # noqa: BLE001 - the hub reads it again, and says so
            return False
        return self._end_directly(worker, call, value)

    def _end_directly(self, worker: WorkerProcess, call: ProcessSubmittedCall, value: Any) -> bool:
        """The call has returned; False if anything is unusual, and then nothing has happened."""
        admission, options = self.admission, self.options
        counters, idle = admission.counters, self.idle
        now, ran = self.now(), worker.started
        with self._lock:
            if (
                worker.call is not call
                or worker.state != BUSY
                or call.abandoned
                or call._taken  # noqa: SLF001
                or admission._line  # noqa: SLF001 - one lock for both halves of the pool
                or admission._blocked  # noqa: SLF001
                or admission._idle_watchers  # noqa: SLF001
                or admission.in_flight > admission.door  # which is 0 if it is closed, or has a gate
                or self.homeless
                or self._stopping
                or worker.greedy
                or worker.calls >= options.max_calls
                or now >= worker.expires
            ):
                return False
            # One step after the other, none of which an interrupt can come into: no call is made.
            worker.inbox[_KIND_AT] = 0
            worker.call = None
            worker.state = IDLE
            worker.due = math.inf
            worker.idle_since = now
            worker.reader = False
            call.worker = None
            call.told = True
            call.state = ENDED
            admission.in_flight -= 1
            counters.completed += 1
            call._result = value  # noqa: SLF001 - our own future
            call._taken = True  # noqa: SLF001
            call._state = "FINISHED"  # noqa: SLF001
            idle.append(worker)
        call.fn = call.payload = None  # as let_go() does
        call.args = ()
        call.kwargs = {}
        if call._parked is not None or call._lazy_condition is not None:  # noqa: SLF001
            call._announce()  # noqa: SLF001
        if call.due is not None:
            self._unwatch(call)
        if call.waits_since >= 0.0:
            self._note_times(call, ran)
        return True

    def _take_over(self, worker: WorkerProcess) -> None:
        """On the hub's thread: whoever has read, or wanted to, has gone."""
        with self._lock:
            if worker.reader or worker.state == DEAD:
                return
        if worker.inbox[_KIND_AT]:
            size, _ = wire.HEAD.unpack_from(worker.inbox)
            got = worker.got if worker.got > 0 else min(len(worker.inbox), wire.HEAD_SIZE + size)
            worker.pending += worker.inbox[:got]
            worker.inbox[_KIND_AT] = 0
            self.take_messages(worker)
        self.attend_worker(worker)
        self._lose_if_dead(worker)
