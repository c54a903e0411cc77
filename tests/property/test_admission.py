"""The admission against a model made of plain lists, in any order of events.

The model says what each operation has to return and what is left behind; after every step the
admission's statistics, its line and the state of every entry have to agree with it.
"""

import math

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.errors import PoolClosed, QueueFull, RateLimited
from holdfast.limits import Rate
from holdfast.pools._admission import Admission
from holdfast.pools._entry import ENDED, RUNNING, WAITING


class _Clock:
    """Shows the moment that the test has set."""

    def __init__(self):
        self.moment = 0.0

    def now(self):
        return self.moment

    def sleep(self, seconds):
        raise AssertionError(seconds)

    def acquire(self, latch, timeout):
        raise AssertionError(latch, timeout)


class _Entry:
    """A call that notes what it is told."""

    def __init__(self, number, *, counted=True):
        self.number = number
        self.counted = counted
        self.size = 0
        self.state = WAITING
        self.abandoned = False
        self.was_accepted = 0
        self.refusals = []
        self.lock = None

    def __repr__(self):
        return f"{'call' if self.counted else 'turn'}{self.number}"

    def accepted(self):
        self.was_accepted += 1

    def refuse(self, error):
        assert not self.lock.locked(), "an entry is refused without the lock"
        self.refusals.append(type(error))


def _make(limit=1, max_queue=0, overflow="wait", max_abandoned=0, gate=None, clock=None):
    return Admission(
        "model",
        limit,
        max_queue=max_queue,
        overflow=overflow,
        max_abandoned=max_abandoned,
        gate=gate,
        clock=clock if clock is not None else _Clock(),
    )


class AdmissionMachine(RuleBasedStateMachine):
    """Calls that come, wait, run, are left, time out and end, in a pool that is resized and closed."""

    @initialize(
        limit=st.integers(1, 3),
        max_queue=st.integers(0, 3),
        overflow=st.sampled_from(["wait", "reject", "drop_oldest"]),
        max_abandoned=st.integers(0, 2),
        rated=st.sampled_from([False, False, True]),
    )
    def make(self, limit, max_queue, overflow, max_abandoned, rated):
        rate = Rate(1, per=10.0, burst=2)
        self.clock = _Clock()
        self.gate = rate.gate() if rated else None
        self.pool = _make(
            limit, max_queue, overflow, max_abandoned, rate.gate() if rated else None, self.clock
        )
        self.limit, self.max_queue = limit, max_queue
        self.overflow, self.max_abandoned = overflow, max_abandoned
        self.entries = []
        self.line, self.blocked, self.running = [], [], []
        self.entered = 0  # permits of calls that have no entry
        self.borrowed = 0  # permits of streams
        self.accepted, self.refused = [], {}
        self.closed = False
        self.counts = dict.fromkeys(
            ("submitted", "completed", "failed", "withdrawn", "timeouts", "late"), 0
        )
        self.rejected = {}
        self.peak_in_flight = 0
        self.longest = (
            max_queue  # so long may the queue be: a pool that was made smaller keeps its calls
        )
        self.last_ceiling, self.last_turns, self.most_in_flight, self.peak_queued = (
            limit,
            set(),
            0,
            0,
        )
        self.idle_calls, self.idle_expected, self.idle_pending = [], [], []

    # ------------------------------------------------------------ the model

    @property
    def in_flight(self):
        return self.entered + self.borrowed + len(self.running)

    @property
    def abandoned(self):
        return [entry for entry in self.running if entry.abandoned]

    @property
    def ceiling(self):
        return self.limit + min(len(self.abandoned), self.max_abandoned)

    def full(self):
        return self._calls_in_line() + self.in_flight >= self.ceiling + self.max_queue

    def _calls_in_line(self):
        return sum(entry.counted for entry in self.line)

    def _queued(self):
        return max(0, self._calls_in_line() - max(0, self.ceiling - self.in_flight))

    def settle(self):
        """Let in whoever is blocked and has a place now, in order; tell who waits for idleness."""
        while self.blocked and not self.full():
            entry = self.blocked.pop(0)
            self.line.append(entry)
            self.accepted.append(entry)

    def notify_idle(self):
        if not self.line and not self.blocked and self.in_flight <= len(self.abandoned):
            self.idle_expected += self.idle_pending
            self.idle_pending = []

    def grant(self):
        """Who gets a permit now, if there is one to give."""
        self.settle()
        if not self.line or self.in_flight >= self.ceiling:
            return None
        if self.gate is not None and self.gate.take(self.clock.moment) > 0.0:
            return None
        entry = self.line.pop(0)
        self.running.append(entry)
        self.note_peak()
        self.settle()
        return entry

    def note_peak(self):
        assert self.in_flight <= self.ceiling
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def reject(self, kind):
        self.rejected[kind.reason] = self.rejected.get(kind.reason, 0) + 1
        return kind

    def refuse(self, entry, kind):
        self.reject(kind)
        self.refused.setdefault(entry, []).append(kind)

    def new_entry(self, *, counted=True):
        entry = _Entry(len(self.entries), counted=counted)
        entry.lock = self.pool.lock
        self.entries.append(entry)
        return entry

    def refusal_on_arrival(self, *, counted=True):
        kind = None
        if self.closed:
            kind = PoolClosed
        elif self.abandoned and len(self.abandoned) >= self.ceiling:
            kind = QueueFull
        return self.reject(kind) if kind is not None and counted else kind

    # ------------------------------------------------------------ in

    @rule(count=st.integers(1, 4))
    def try_enter(self, count):
        for _ in range(count):
            expected = not (
                self.in_flight >= self.ceiling
                or self.line
                or self.blocked
                or self.gate is not None
                or self.closed
            )

            assert self.pool.try_enter() is expected

            if expected:
                self.entered += 1
                self.counts["submitted"] += 1
                self.note_peak()

    @rule(count=st.integers(1, 4), may_block=st.booleans())
    def line_up(self, count, may_block):
        for _ in range(count):
            self.line_up_one(may_block)

    @precondition(lambda self: self.overflow == "wait" and not self.closed)
    @rule(count=st.integers(1, 3))
    def line_up_until_blocked(self, count):
        while len(self.blocked) < count and self.refusal_on_arrival(counted=False) is None:
            self.line_up_one(may_block=True)

    def line_up_one(self, may_block):
        entry = self.new_entry()
        expected = self.refusal_on_arrival()
        if expected is None and self.full():
            calls = [other for other in self.line if other.counted]
            if self.gate is None:  # those who find a permit free start at once: they are not queued
                calls = calls[max(0, self.ceiling - self.in_flight) :]
            if self.overflow == "wait" and may_block:
                expected = False
                self.blocked.append(entry)
            elif self.overflow == "drop_oldest" and calls and self.max_queue:
                expected = True
                self.line.remove(calls[0])
                self.counts["withdrawn"] += 1
                self.refuse(calls[0], QueueFull)
                self.line.append(entry)
            else:
                expected = self.reject(QueueFull)
        elif expected is None:
            late = self.gate is not None and self.gate.wait(self.clock.moment) > 0.0
            if late and self.overflow == "reject":
                expected = self.reject(RateLimited)
            else:
                expected = True
                self.line.append(entry)

        if isinstance(expected, bool):
            assert self.pool.line_up(entry, may_block=may_block) is expected
            self.counts["submitted"] += 1
        else:
            with pytest.raises(expected) as caught:
                self.pool.line_up(entry, may_block=may_block)
            assert caught.value.stats.in_flight == self.in_flight
            if expected is RateLimited:
                assert caught.value.retry_after == self.gate.wait(self.clock.moment)

    @rule()
    def claim_until_there_is_none(self):
        while (expected := self.grant()) is not None:
            assert self.pool.claim() is expected
        assert self.pool.claim() is None

    # ------------------------------------------------------------ out

    @precondition(lambda self: self.entered)
    @rule(ok=st.booleans())
    def leave(self, ok):
        self.entered -= 1
        self.counts["completed" if ok else "failed"] += 1
        expected = self.grant()

        assert self.pool.leave(ok=ok) is expected

        self.notify_idle()

    @precondition(lambda self: any(entry.counted for entry in self.running))
    @rule(data=st.data(), ok=st.booleans())
    def end(self, data, ok):
        entry = data.draw(st.sampled_from([one for one in self.running if one.counted]))
        self.running.remove(entry)
        self.counts["late"] += entry.abandoned
        self.counts["completed" if ok and not entry.abandoned else "failed"] += 1
        expected = self.grant()

        assert self.pool.end(entry, ok) is expected

        self.notify_idle()

    @precondition(lambda self: any(e.counted and not e.abandoned for e in self.running))
    @rule(data=st.data())
    def be_gone_when_the_permit_comes(self, data):
        waiting = [one for one in self.running if one.counted and not one.abandoned]
        entry = data.draw(st.sampled_from(waiting))
        self.running.remove(entry)
        self.counts["withdrawn"] += 1
        expected = self.grant()

        assert self.pool.give_back_unused(entry) is expected

        self.notify_idle()

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def withdraw(self, data):
        entry = data.draw(st.sampled_from(self.entries))
        expected = entry in self.line or entry in self.blocked
        for place in (self.line, self.blocked):
            if entry in place:
                place.remove(entry)
                self.counts["withdrawn"] += entry.counted
        self.settle()

        assert self.pool.withdraw(entry) is expected

        self.notify_idle()

    @precondition(lambda self: any(entry.counted for entry in self.entries))
    @rule(data=st.data(), timed_out=st.booleans())
    def abandon(self, data, timed_out):
        entry = data.draw(st.sampled_from([one for one in self.entries if one.counted]))
        expected = entry in self.running and not entry.abandoned

        assert self.pool.abandon(entry, timed_out=timed_out) is expected

        self.counts["timeouts"] += expected and timed_out
        self.settle()
        self.notify_idle()

    # ------------------------------------------------------------ from outside

    @rule(limit=st.integers(1, 4))
    def resize(self, limit):
        self.limit = limit
        self.settle()

        self.pool.resize(limit)

    @precondition(lambda self: self.gate is not None)
    @rule(seconds=st.sampled_from([0.1, 5.0, 10.0, 100.0]))
    def let_time_pass(self, seconds):
        self.clock.moment += seconds

    @precondition(lambda self: len(self.entries) >= 12)  # or most runs would be over soon
    @rule(refuse_waiting=st.booleans())
    def close(self, refuse_waiting):
        refused = list(self.blocked) + (list(self.line) if refuse_waiting else [])
        self.blocked = []
        self.line = [] if refuse_waiting else self.line
        self.closed = True
        for entry in refused:
            self.counts["withdrawn"] += entry.counted
            self.refuse(entry, PoolClosed)
        self.notify_idle()

        self.pool.close(refuse_waiting=refuse_waiting)

    @rule()
    def wait_for_idleness(self):
        number = len(self.idle_expected) + len(self.idle_pending)
        self.idle_pending.append(number)
        self.notify_idle()

        self.pool.on_idle(lambda: self.idle_calls.append(number))

    # ------------------------------------------------------------ always

    @invariant()
    def the_figures_agree(self):
        stats = self.pool.stats()

        assert {name: getattr(stats, name) for name in self.counts} == self.counts
        assert (stats.limit, stats.in_flight) == (self.limit, self.in_flight)
        assert (stats.queued, stats.blocked) == (self._queued(), len(self.blocked))
        assert stats.queued + stats.starting == self._calls_in_line()
        assert stats.abandoned == len(self.abandoned)
        assert stats.rejected == self.rejected
        assert stats.peak_in_flight == self.peak_in_flight
        assert stats.peak_queued >= self._queued()
        assert self.pool.ceiling == self.ceiling

    @invariant()
    def the_queue_is_never_longer_than_it_may_be(self):
        stats = self.pool.stats()
        turns = {entry for entry in self.running if not entry.counted}
        if self.last_ceiling > self.ceiling or turns - self.last_turns:
            self.longest = max(self.max_queue, stats.queued)
        self.last_ceiling, self.last_turns = self.ceiling, turns

        assert stats.queued <= self.longest
        assert stats.in_flight <= max(self.ceiling, self.most_in_flight)
        assert stats.peak_queued <= max(self.longest, self.peak_queued)
        self.longest = max(self.max_queue, min(self.longest, stats.queued))
        self.most_in_flight = stats.in_flight
        self.peak_queued = stats.peak_queued

    @invariant()
    def every_call_is_counted_in_one_place(self):
        stats = self.pool.stats()
        turns = sum(not entry.counted for entry in self.running)

        assert stats.submitted == (
            stats.completed
            + stats.failed
            + stats.withdrawn
            + stats.in_flight
            + stats.starting
            + stats.queued
            + stats.blocked
            - turns
            - self.borrowed
        )

    @invariant()
    def the_line_is_in_order(self):
        assert self.pool.waiting() == [*self.line, *self.blocked]
        assert self.pool.has_work() is (bool(self.line) and self.in_flight < self.ceiling)

    @invariant()
    def every_entry_was_told_what_became_of_it_once(self):
        waiting = [*self.line, *self.blocked]
        for entry in self.entries:
            assert entry.refusals == self.refused.get(entry, [])
            assert len(entry.refusals) <= 1
            assert entry.was_accepted == self.accepted.count(entry) <= 1
            if entry in waiting:
                assert entry.state == WAITING
            elif entry in self.running:
                assert entry.state == RUNNING
            elif entry.refusals:
                assert entry.state == ENDED

    @invariant()
    def whoever_waits_for_idleness_is_told_in_time(self):
        assert self.idle_calls == self.idle_expected


class AdmissionWithStreamsMachine(AdmissionMachine):
    """The same with streams, which borrow permits and stand in line over and above ``max_queue``."""

    @rule()
    def try_borrow(self):
        expected = not (
            self.in_flight >= self.ceiling
            or self.line
            or self.blocked
            or self.gate is not None
            or self.closed
        )

        assert self.pool.try_borrow() is expected

        if expected:
            self.borrowed += 1
            self.note_peak()

    @precondition(lambda self: self.borrowed)
    @rule()
    def give_back(self):
        self.borrowed -= 1
        expected = self.grant()

        assert self.pool.give_back() is expected

        self.notify_idle()

    @rule()
    def line_up_turn(self):
        entry = self.new_entry(counted=False)

        assert self.pool.line_up_turn(entry) is not self.closed

        if not self.closed:
            self.line.append(entry)

    @precondition(lambda self: any(not entry.counted for entry in self.running))
    @rule(data=st.data())
    def end_turn(self, data):
        entry = data.draw(st.sampled_from([one for one in self.running if not one.counted]))
        self.running.remove(entry)
        expected = self.grant()

        assert self.pool.give_back_unused(entry) is expected

        self.notify_idle()


# One failure is shrunk at a time: a broken model is broken in many ways, and each takes a minute.
SETTINGS = settings(max_examples=250, stateful_step_count=40, report_multiple_bugs=False)


@pytest.mark.timeout(120)
def test_calls_are_admitted_as_the_model_says():
    """In flight, in line, blocked, refused, abandoned and ended: always where the model has them."""
    run_state_machine_as_test(AdmissionMachine, settings=SETTINGS)


@pytest.mark.timeout(120)
def test_streams_and_calls_share_a_pool_as_the_model_says():
    """A stream takes no place in the queue from a call, and is not dropped for one."""
    run_state_machine_as_test(AdmissionWithStreamsMachine, settings=SETTINGS)


# ---------------------------------------------------------------- by example


def _fill(pool, count):
    assert all(pool.try_enter() for _ in range(count))


def _line_up(pool, count, *, may_block=True):
    entries = [_Entry(number) for number in range(count)]
    for entry in entries:
        entry.lock = pool.lock
        pool.line_up(entry, may_block=may_block)
    return entries


@pytest.mark.parametrize("max_queue", [0, 1, 2])
def test_who_was_blocked_gets_in_when_calls_end(max_queue):
    """Also where there is no queue at all, and the blocked caller goes straight to a permit."""
    pool = _make(1, max_queue)
    _fill(pool, 1)
    entries = _line_up(pool, max_queue + 2)

    started = [pool.leave(ok=True)]
    started += [pool.end(entry, ok=True) for entry in entries]

    assert started == [*entries, None]
    assert pool.stats().completed == max_queue + 3


def test_who_was_blocked_while_too_much_was_in_flight_gets_in_when_that_has_ended():
    """A pool made smaller under load lets its blocked callers in again."""
    pool = _make(4, 1)
    _fill(pool, 4)
    pool.resize(1)
    (entry,) = _line_up(pool, 1)

    given = [pool.leave(ok=True) for _ in range(4)]

    assert given == [None, None, None, entry]


def test_nobody_overtakes_who_is_blocked_while_the_rate_holds_a_permit_back():
    """A call ends, the rate allows no start: the free place is the blocked caller's, not a new one's."""
    clock = _Clock()
    pool = _make(1, 1, gate=Rate(1, per=10.0, burst=1).gate(), clock=clock)
    first, second, third = _line_up(pool, 1) + _line_up(pool, 1) + _line_up(pool, 1)
    assert pool.claim() is first

    assert pool.end(first, ok=True) is None
    (late,) = _line_up(pool, 1)

    assert pool.waiting() == [second, third, late]
    clock.moment = 10.0
    assert pool.claim() is second
    assert pool.end(second, ok=True) is None
    clock.moment = 20.0
    assert pool.claim() is third


def test_statistics_add_up_when_a_permit_comes_too_late():
    """The entry was gone: it counts as withdrawn in the moment in which its permit returns."""
    pool = _make(1, 1)
    (entry,) = _line_up(pool, 1)
    assert pool.claim() is entry

    assert pool.give_back_unused(entry) is None

    stats = pool.stats()
    assert stats.submitted == stats.withdrawn == 1
    assert (stats.in_flight, stats.queued) == (0, 0)


def test_the_most_that_was_queued_counts_who_was_blocked_before():
    """A pool made larger takes blocked callers into its queue: they were queued at once."""
    pool = _make(1, 1)
    _fill(pool, 1)
    _line_up(pool, 4)

    pool.resize(2)

    stats = pool.stats()
    assert (stats.starting, stats.queued, stats.blocked, stats.peak_queued) == (1, 1, 2, 1)


def test_who_has_a_permit_coming_is_not_queued():
    """A pool of three with a queue of one and four calls in line: three start, one is queued."""
    pool = _make(3, 1)
    entries = _line_up(pool, 4)

    before = pool.stats()
    claimed = [pool.claim() for _ in range(3)]
    after = pool.stats()

    assert claimed == entries[:3]
    assert (before.in_flight, before.starting, before.queued, before.peak_queued) == (0, 3, 1, 1)
    assert (after.in_flight, after.starting, after.queued, after.peak_queued) == (3, 0, 1, 1)


def test_refusals_at_the_end_are_counted_under_the_lock():
    """A stream's tally is read under the pool's lock, also for the statistics in an error."""
    looks = []

    class Tally:
        failed = 0

        def pending(self):
            return False

        def cut_off(self):
            assert not pool.lock.locked()

        @property
        def completed(self):
            looks.append(pool.lock.locked())
            return 0

    pool = _make(1, 5)
    _fill(pool, 1)
    _line_up(pool, 2)
    pool.open_tally(Tally())

    pool.close(refuse_waiting=True)

    assert looks
    assert all(looks)


def test_a_call_has_its_place_in_the_queue_beside_a_waiting_stream():
    """A stream's place is over and above ``max_queue``, so it leaves the queue to the calls."""
    pool = _make(1, 1, overflow="reject")
    _fill(pool, 1)
    turn = _Entry(0, counted=False)
    assert pool.line_up_turn(turn)

    (entry,) = _line_up(pool, 1, may_block=False)

    assert pool.waiting() == [turn, entry]
    with pytest.raises(QueueFull):
        _line_up(pool, 1, may_block=False)


def test_the_oldest_call_is_dropped_and_not_a_stream_before_it():
    """One more call costs the longest waiting call its place; it does not end a whole stream."""
    pool = _make(1, 1, overflow="drop_oldest")
    _fill(pool, 1)
    turn = _Entry(0, counted=False)
    turn.lock = pool.lock
    assert pool.line_up_turn(turn)
    (old,) = _line_up(pool, 1)

    (new,) = _line_up(pool, 1)

    assert pool.waiting() == [turn, new]
    assert (turn.refusals, old.refusals) == ([], [QueueFull])


def test_a_full_pool_says_the_numbers():
    """The error carries how many are in flight and queued, and the statistics of the moment."""
    pool = _make(2, 1, overflow="reject")
    _fill(pool, 2)
    _line_up(pool, 1)

    with pytest.raises(QueueFull, match="2 of 2 in flight and 1 of 1 queued") as caught:
        _line_up(pool, 1)

    assert caught.value.stats == pool.stats()
    assert caught.value.retry_after is None


def test_a_rate_that_rejects_says_when_to_come_back():
    """``retry_after`` is the time until the gate opens."""
    clock = _Clock()
    pool = _make(5, 5, "reject", gate=Rate(1, per=8.0).gate(), clock=clock)
    (first,) = _line_up(pool, 1)
    assert pool.claim() is first
    clock.moment = 2.0

    with pytest.raises(RateLimited) as caught:
        _line_up(pool, 1)

    assert math.isclose(caught.value.retry_after, 6.0)
