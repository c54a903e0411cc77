"""Lines of every order against a model made of plain lists, and pools whose queue is such a line.

The model of a fair line is a list of lists, that of a line by priority is sorted for each question;
so they are slow and plainly right. After every step line and model have to agree on who is next, who
came first, who would be dropped, and what is kept of those that have gone: nothing.
"""

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.errors import QueueFull
from holdfast.pools._admission import Admission
from holdfast.pools._entry import ENDED, RUNNING, WAITING
from holdfast.pools._order_line import FirstCome
from holdfast.pools.order import Fair, Priority


class _Clock:
    """Shows the moment that the test has set."""

    def __init__(self):
        self.moment = 0.0

    def now(self):
        return self.moment


class _Stream:
    def __init__(self, rank):
        self.rank = rank


class _Entry:
    """A call, or a stream's turn, that notes what it is told."""

    def __init__(self, number, rank=None, *, counted=True, size=0):
        self.number = number
        self.counted = counted
        self.size = size
        self.state = WAITING
        self.abandoned = False
        self.was_accepted = 0
        self.refusals = []
        if counted:
            self.rank = rank
        else:
            self.engine = _Stream(rank)

    @property
    def says(self):
        return self.rank if self.counted else self.engine.rank

    def __repr__(self):
        return f"{'call' if self.counted else 'turn'}{self.number}({self.says})"

    def accepted(self):
        self.was_accepted += 1

    def refuse(self, error):
        self.refusals.append(type(error))


# ---------------------------------------------------------------- models


class _FirstComeModel:
    """Everybody in one list."""

    ranks = st.none()

    def __init__(self, clock):
        del clock
        self.waiting = []

    def come(self, entry):
        self.waiting.append(entry)

    def go(self, entry):
        self.waiting.remove(entry)

    def take(self):
        entry = self.next()
        self.go(entry)
        return entry

    def next(self):
        return self.waiting[0]

    def in_order(self):
        return list(self.waiting)

    def to_drop(self):
        return next(entry for entry in self.waiting if entry.counted)


class _FairModel(_FirstComeModel):
    """A list of keys, each with its list; the key that was served goes to the end."""

    ranks = st.sampled_from([None, "a", "b", "c", "d"])

    def __init__(self, clock):
        super().__init__(clock)
        self.ring = []

    def come(self, entry):
        super().come(entry)
        if entry.says not in self.ring:
            self.ring.append(entry.says)

    def go(self, entry):
        super().go(entry)
        if not self.of(entry.says):
            self.ring.remove(entry.says)

    def take(self):
        entry = self.next()
        self.ring.remove(entry.says)
        self.ring.append(entry.says)
        self.go(entry)
        return entry

    def next(self):
        return self.of(self.ring[0])[0]

    def of(self, key):
        return [entry for entry in self.waiting if entry.says == key]

    def calls_of(self, key):
        return [entry for entry in self.of(key) if entry.counted]


class _PriorityModel(_FirstComeModel):
    """Whoever has the smallest sum of arrival and priority."""

    ageing = 10.0
    ranks = st.sampled_from([None, -1.0, 0.0, 0.5, 1.0, 3.0])

    def __init__(self, clock):
        super().__init__(clock)
        self.clock = clock
        self.came = {}

    def come(self, entry):
        self.came.setdefault(entry, self.clock.moment)
        super().come(entry)

    def next(self):
        # min() returns the first of equals, and they stand in the order in which they came.
        return min(self.waiting, key=lambda e: self.came[e] + (e.says or 0.0) * self.ageing)


class LineMachine(RuleBasedStateMachine):
    """Calls and turns that come, are taken, leave, and go over from a second line to the first."""

    model = _FirstComeModel

    def new_line(self):
        return FirstCome()

    @initialize()
    def make(self):
        self.clock = _Clock()
        self.line = self.new_line()
        self.beside = self.line.beside()
        self.here, self.there = self.model(self.clock), self.model(self.clock)
        self.entries = []

    def new_entry(self, data, *, counted):
        entry = _Entry(len(self.entries), data.draw(self.model.ranks), counted=counted)
        self.entries.append(entry)
        return entry

    @rule(data=st.data(), count=st.integers(1, 5), counted=st.sampled_from([True, True, False]))
    def come(self, data, count, counted):
        for _ in range(count):
            entry = self.new_entry(data, counted=counted)
            self.line[entry] = None
            self.here.come(entry)

    @rule(data=st.data())
    def be_blocked(self, data):
        entry = self.new_entry(data, counted=True)
        self.beside[entry] = None
        self.there.come(entry)

    @precondition(lambda self: self.there.waiting)
    @rule()
    def be_accepted(self):
        expected = self.there.take()

        assert self.beside.first() is expected
        entry, came = self.beside.popitem(last=False)
        self.line[entry] = came

        assert entry is expected
        if isinstance(self.there, _PriorityModel):
            self.here.came[entry] = self.there.came[entry]
        self.here.come(entry)

    @precondition(lambda self: self.here.waiting)
    @rule(count=st.integers(1, 4))
    def be_taken(self, count):
        for _ in range(min(count, len(self.here.waiting))):
            expected = self.here.take()

            assert self.line.first() is expected
            assert self.line.popitem(last=False)[0] is expected

    @precondition(lambda self: self.here.waiting)
    @rule(data=st.data(), count=st.integers(1, 5))
    def leave(self, data, count):
        for _ in range(min(count, len(self.here.waiting))):
            entry = data.draw(st.sampled_from(self.here.waiting))
            self.here.go(entry)

            del self.line[entry]

    @rule(seconds=st.sampled_from([0.5, 5.0, 10.0, 31.0]))
    def let_time_pass(self, seconds):
        self.clock.moment += seconds

    @rule()
    def clear(self):
        self.line.clear()
        self.here = self.model(self.clock)

    @invariant()
    def the_same_wait_in_the_order_of_their_arrival(self):
        assert list(self.line) == self.here.in_order()
        assert len(self.line) == len(self.here.waiting)
        assert bool(self.line) is bool(self.here.waiting)
        for entry in self.entries:
            assert (entry in self.line) is (entry in self.here.waiting)

    @invariant()
    def the_same_call_would_be_dropped(self):
        if any(entry.counted for entry in self.here.waiting):
            assert self.line.to_drop() is self.here.to_drop()


class FairLineMachine(LineMachine):
    """The same, in turns."""

    model = _FairModel

    def new_line(self):
        return Fair().line(self.clock)

    @invariant()
    def a_key_is_known_only_while_it_waits(self):
        assert self.line.keys == len({entry.says for entry in self.here.waiting})

    @invariant()
    def the_same_call_would_be_dropped(self):
        crowds = {key: len(self.here.calls_of(key)) for key in self.here.ring}
        if any(crowds.values()):
            dropped = self.line.to_drop()

            assert crowds[dropped.says] == max(crowds.values())
            assert dropped is self.here.calls_of(dropped.says)[0]


class PriorityLineMachine(LineMachine):
    """The same, by priority."""

    model = _PriorityModel

    def new_line(self):
        return Priority(ageing=_PriorityModel.ageing).line(self.clock)

    @invariant()
    def the_marks_of_those_who_left_are_bounded(self):
        assert 0 <= self.line.marks <= len(self.line) + 16


SETTINGS = settings(max_examples=120, stateful_step_count=40, report_multiple_bugs=False)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("machine", [LineMachine, FairLineMachine, PriorityLineMachine])
def test_lines_serve_as_their_models_do(machine):
    """Who is next, who came first, who would be dropped: always whom the model names."""
    run_state_machine_as_test(machine, settings=SETTINGS)


# ---------------------------------------------------------------- fairness and ageing

KEYS = st.sampled_from("abcde")
EVENTS = st.lists(
    st.one_of(st.tuples(st.just("come"), KEYS), st.just(("take", None))), max_size=120
)


@given(EVENTS)
def test_between_two_turns_of_a_key_every_other_has_one_at_most(events):
    """For as long as the key waits without a break; from its arrival to its first turn as well."""
    line = Fair().line(_Clock())
    turns = {}  # by key that waits: who has had turns since its own last one, or since it came

    for number, (what, key) in enumerate(events):
        if what == "come":
            line[_Entry(number, key)] = None
            turns.setdefault(key, [])
        elif line:
            served = line.popitem(last=False)[0].rank
            for waiting, others in turns.items():
                if waiting != served:
                    others.append(served)
                    assert len(set(others)) == len(others)
            turns[served] = []
            if not any(entry.rank == served for entry in line):
                del turns[served]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("come"), st.sampled_from([-2.0, 0.0, 1.0, 5.0, 40.0])),
            st.tuples(st.just("take"), st.none()),
            st.tuples(st.just("wait"), st.floats(0.01, 100.0)),
        ),
        max_size=120,
    )
)
def test_nobody_is_overtaken_by_one_that_came_too_much_later(events):
    """A call is served before any that comes later by the levels between them, times ``ageing``."""
    clock = _Clock()
    line = Priority(ageing=10.0).line(clock)
    came = {}

    for number, (what, value) in enumerate(events):
        if what == "come":
            entry = _Entry(number, value)
            line[entry] = None
            came[entry] = clock.moment
        elif what == "wait":
            clock.moment += value
        elif line:
            served = line.popitem(last=False)[0]
            for passed in line:
                ahead = came[served] - came[passed]
                assert ahead <= (passed.rank - served.rank) * 10.0 + 1e-9


def test_a_thousand_leavers_leave_nothing_behind():
    """What is kept of those that left is bounded by those that stay, in every order."""
    clock = _Clock()
    fair, priority = Fair().line(clock), Priority().line(clock)
    stays = _Entry(0, 1.0)
    fair[stays] = priority[stays] = None

    for number in range(1, 1001):
        leaver = _Entry(number, float(number))
        fair[leaver] = priority[leaver] = None
        del fair[leaver]
        del priority[leaver]

    assert (len(fair), fair.keys) == (1, 1)
    assert len(priority) == 1
    assert priority.marks <= 17


# ---------------------------------------------------------------- in a pool

ORDERS = {
    "first come": (None, st.none()),
    "fair": (Fair(), _FairModel.ranks),
    "priority": (Priority(ageing=10.0), _PriorityModel.ranks),
}


class PoolMachine(RuleBasedStateMachine):
    """Calls with keys, priorities and sizes in a pool with an order and a bound in bytes."""

    @initialize(
        order=st.sampled_from(sorted(ORDERS)),
        overflow=st.sampled_from(["wait", "reject", "drop_oldest"]),
        limit=st.integers(1, 3),
        max_queue=st.integers(0, 4),
        max_bytes=st.sampled_from([None, 10]),
    )
    def make(self, order, overflow, limit, max_queue, max_bytes):
        self.clock = _Clock()
        made, self.ranks = ORDERS[order]
        self.max_queue, self.max_bytes, self.overflow = max_queue, max_bytes, overflow
        self.pool = Admission(
            "model",
            limit,
            max_queue=max_queue,
            overflow=overflow,
            max_abandoned=0,
            gate=None,
            clock=self.clock,
            max_queue_bytes=max_bytes,
            line=made.line(self.clock) if made is not None else None,
        )
        self.entries, self.refused, self.withdrawn, self.ended = [], [], [], []

    def new_entry(self, data, *, counted=True):
        size = data.draw(st.integers(0, 12)) if counted and self.max_bytes is not None else 0
        entry = _Entry(len(self.entries), data.draw(self.ranks), counted=counted, size=size)
        self.entries.append(entry)
        return entry

    def in_line(self):
        return [entry for entry in self.entries if entry in self.pool._line]

    def blocked(self):
        return [entry for entry in self.entries if entry in self.pool._blocked]

    @rule(data=st.data(), may_block=st.booleans())
    def line_up(self, data, may_block):
        entry = self.new_entry(data)
        stats = self.pool.stats()
        free = stats.in_flight + stats.starting < stats.limit
        try:
            queued = self.pool.line_up(entry, may_block=may_block)
        except QueueFull:
            self.refused.append(entry)
            assert not free, "whoever finds a permit free is never refused"
            return

        assert (entry in self.pool._line) is queued
        assert (entry in self.pool._blocked) is not queued
        if queued:
            # A resize may leave it above.
            assert self.pool.stats().queued <= max(self.max_queue, stats.queued)
        else:
            assert self.overflow == "wait"
            assert may_block
            assert self.max_bytes is None or entry.size <= self.max_bytes

    @rule(data=st.data())
    def line_up_turn(self, data):
        assert self.pool.line_up_turn(self.new_entry(data, counted=False))

    @rule()
    def claim(self):
        expected = self.pool._line and self.pool.in_flight < self.pool.ceiling

        entry = self.pool.claim()

        assert (entry is not None) is bool(expected)
        assert entry is None or entry.state == RUNNING

    @precondition(lambda self: any(one.state == RUNNING for one in self.entries))
    @rule(data=st.data())
    def end(self, data):
        entry = data.draw(st.sampled_from([one for one in self.entries if one.state == RUNNING]))
        self.ended.append(entry)
        if entry.counted:
            self.pool.end(entry, ok=True)
        else:
            self.pool.give_back_unused(entry)

    @precondition(lambda self: any(one.state == WAITING for one in self.entries))
    @rule(data=st.data())
    def withdraw(self, data):
        waiting = [*self.in_line(), *self.blocked()]
        if waiting:
            entry = data.draw(st.sampled_from(waiting))
            self.withdrawn.append(entry)

            assert self.pool.withdraw(entry)

    @rule(limit=st.integers(1, 4))
    def resize(self, limit):
        self.pool.resize(limit)

    @rule(seconds=st.sampled_from([1.0, 15.0]))
    def let_time_pass(self, seconds):
        self.clock.moment += seconds

    @invariant()
    def the_bytes_of_the_queue_are_bounded(self):
        stats = self.pool.stats()
        if self.max_bytes is not None:
            assert stats.queued_bytes <= self.max_bytes
            assert stats.queued_bytes == sum(e.size for e in self.in_line() if e.counted)

    @invariant()
    def everybody_is_in_exactly_one_place(self):
        dropped = [entry for entry in self.entries if entry.refusals]
        running = [entry for entry in self.entries if entry.state == RUNNING]
        places = [
            *self.in_line(), *self.blocked(), *running,
            *self.refused, *self.withdrawn, *self.ended, *dropped,
        ]  # fmt: skip

        assert sorted(e.number for e in places) == list(range(len(self.entries)))
        assert all(e.refusals == [QueueFull] and e.state == ENDED for e in dropped)
        assert not dropped or self.overflow == "drop_oldest"
        assert len(running) == self.pool.in_flight

    @invariant()
    def nobody_is_blocked_before_a_place_that_is_free(self):
        if self.blocked():
            stats = self.pool.stats()
            first = self.pool._first_blocked()
            full = stats.starting + stats.queued + stats.in_flight >= stats.limit + self.max_queue
            assert full or stats.queued_bytes + first.size > self.max_bytes

    @invariant()
    def waiting_tells_who_came_first(self):
        line = [entry.number for entry in self.pool._line if entry.was_accepted == 0]

        assert line == sorted(line)
        assert set(self.pool.waiting()) == {*self.in_line(), *self.blocked()}

    def teardown(self):
        """Whoever waits in the end gets a permit: nobody is left for good."""
        if not self.entries:
            return
        for _ in range(2 * len(self.entries)):
            self.pool.claim()
            for entry in self.entries:
                if entry.state == RUNNING and entry not in self.ended:
                    self.ended.append(entry)
                    self.pool.give_back_unused(entry)
        assert not self.in_line()
        assert not self.blocked()


@pytest.mark.timeout(120)
def test_a_pool_with_an_order_and_a_bound_in_bytes_keeps_everybody():
    """Never above a bound, nobody lost, nobody twice, nobody left, whatever comes in which order."""
    run_state_machine_as_test(PoolMachine, settings=SETTINGS)
