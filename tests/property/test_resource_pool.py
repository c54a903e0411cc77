"""A resource pool against a model, over asking, leaving, opening, failing, returning, time and closing.

The core runs nothing itself: here its homes only note what it wants to have done, and the machine does
it, or has it fail, in any order. After every step the bounds hold, the books add up, the line is served
in its order, and nobody waits while something that he could use is idle.
"""

import logging

from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.errors import PoolClosed, QueueFull, Rejected
from holdfast.testing import FakeClock
from holdfast.track._place import REFUSED, SERVED, WAITING, Place
from holdfast.track._pool_core import PoolCore
from holdfast.track._pool_options import checked_options
from holdfast.track._pool_slot import CLOSING, IDLE, LENT, OPENING, RESETTING, Asked
from holdfast.track._pool_watch import look
from holdfast.track._site import NOWHERE

MAX_WAITING = 6
IDLE_TIMEOUT = 50.0
MAX_LIFETIME = 400.0


class Home:
    """Where nothing happens until the machine lets it."""

    is_over = False

    def __init__(self):
        self.idle, self.opening = [], 0
        self.to_open, self.to_destroy = [], []

    def open(self, slot):
        self.to_open.append(slot)

    def destroy(self, slot):
        self.to_destroy.append(slot)


class Caller(Place):
    """Somebody who waits; ``deaf`` is one whose loop has closed."""

    deaf = False

    def __init__(self, since, home):
        super().__init__(since, Asked(home, NOWHERE, id(self), in_block=False))
        self.woken = 0

    def wake(self):
        self.woken += 1
        return not self.deaf


class Pool(RuleBasedStateMachine):
    """The machine: every rule is something that may happen at any moment."""

    @initialize(
        max_size=st.integers(1, 4),
        min_size=st.integers(0, 2),
        max_opening=st.integers(1, 2),
        homes=st.integers(1, 3),
        resets=st.booleans(),
    )
    def begin(self, max_size, min_size, max_opening, homes, resets):
        self.clock = FakeClock()
        self.clock.__enter__()
        options = checked_options(
            name="p",
            min_size=min(min_size, max_size),
            max_size=max_size,
            max_waiting=MAX_WAITING,
            max_opening=max_opening,
            timeout=30.0,
            open_timeout=30.0,
            close_timeout=10.0,
            max_lifetime=MAX_LIFETIME,
            idle_timeout=IDLE_TIMEOUT,
            check_after=0.0,
            leak_after=(100.0, 200.0),
            descriptors=0,
            resets=resets,
            keep_after=lambda error: True,
        )
        self.core = PoolCore(options, self.clock)
        self.core.watch = self.core.watch_line = lambda: None
        self.core.watch_retry = lambda left: None
        self.homes = [Home() for _ in range(homes)]
        self.most = max_size
        self.waiting, self.leases, self.resetting = [], [], []
        self.numbers = iter(range(10**9))

    def teardown(self):
        if hasattr(self, "clock"):
            for lease in self.leases:
                lease.forget()
            self.clock.__exit__()

    # ------------------------------------------------------------ what callers do

    @rule(which=st.integers(0, 2), deaf=st.booleans())
    def ask(self, which, deaf):
        home = self.homes[which % len(self.homes)]
        try:
            lease = self.core.take(Asked(home, NOWHERE, 0, in_block=False))
        except PoolClosed:
            assert self.core.closed
            return
        if lease is not None:
            assert not any(place.wants.home is home for place in self.core.line), "overtaken"
            self.leases.append(lease)
            return
        caller = Caller(self.clock.now(), home)
        caller.deaf = deaf and len(self.waiting) % 4 == 0
        try:
            self.core.line_up(caller)
        except QueueFull:
            assert len(self.core.line) == MAX_WAITING
        else:
            self.waiting.append(caller)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), how=st.sampled_from(["leave", "leave_later", "expire"]))
    def give_up(self, data, how):
        """A caller leaves, perhaps in the very moment in which it is served."""
        caller = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(caller)
        getattr(self.core, how)(caller)
        self.core.pump()  # whoever comes next does what was left for later
        assert caller not in self.core.line
        if how == "expire" and caller.state == SERVED:
            self.leases.append(caller.outcome())

    def _collect(self):
        """Those who were served take what they have got."""
        for caller in [one for one in self.waiting if one.state != WAITING]:
            self.waiting.remove(caller)
            assert caller.woken <= 1
            if caller.state == SERVED:
                if caller.thing is not None:
                    self.leases.append(caller.outcome())
            elif caller.state == REFUSED:
                assert isinstance(caller.error, Rejected)
            else:
                assert caller.deaf

    @rule()
    def collect(self):
        self._collect()

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), how=st.sampled_from(["release", "discard", "drop", "broken"]))
    def end_loan(self, data, how):
        # By its number: what is drawn is kept for the report, and a lease is to be dropped.
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        if how == "drop":
            del lease
            self.core.pump()  # whoever comes next takes it back
            return
        slot = lease.forget()
        if how == "broken":
            self.core.found_broken(slot)
        elif self.core.give_back(slot, spoilt="discarded" if how == "discard" else ""):
            self.resetting.append(slot)

    # ------------------------------------------------------------ what the user's functions do

    def _jobs(self, name):
        return [(home, slot) for home in self.homes for slot in getattr(home, name)]

    @precondition(lambda self: self._jobs("to_open"))
    @rule(data=st.data(), works=st.booleans())
    def create_ends(self, data, works):
        home, slot = data.draw(st.sampled_from(self._jobs("to_open")))
        home.to_open.remove(slot)
        if works:
            self.core.opened(slot, next(self.numbers), 0.1)
        else:
            self.core.open_failed(slot, ConnectionRefusedError())

    @precondition(lambda self: self._jobs("to_destroy"))
    @rule(data=st.data(), works=st.booleans())
    def destroy_ends(self, data, works):
        home, slot = data.draw(st.sampled_from(self._jobs("to_destroy")))
        home.to_destroy.remove(slot)
        self.core.gone(slot, None if works else OSError())

    @precondition(lambda self: self.resetting)
    @rule(data=st.data(), works=st.booleans())
    def reset_ends(self, data, works):
        slot = data.draw(st.sampled_from(self.resetting))
        self.resetting.remove(slot)
        self.core.was_reset(slot, None if works else OSError())

    # ------------------------------------------------------------ time, sizes, the end

    @rule(seconds=st.sampled_from([0.05, 1.0, 30.0, 60.0, 500.0]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)
        look(self.core)

    @rule()
    def fill(self):
        self.core.fill_home = self.homes[0]
        self.core.pump()

    @rule(max_size=st.integers(1, 4))
    def resize(self, max_size):
        self.core.options.max_size = max_size
        self.core.options.min_size = min(self.core.options.min_size, max_size)
        self.core.pump()
        self.most = max(max_size, self.core.open_count(), len(self.core.slots))

    @rule()
    def lend(self):
        self.core.close_one_idle("lent")

    @precondition(lambda self: not self.core.closed and len(self.leases) % 5 == 4)
    @rule()
    def close(self):
        self.core.close()

    # ------------------------------------------------------------ what always holds

    @invariant()
    def the_books_add_up(self):
        if not hasattr(self, "core"):
            return
        core = self.core
        states = [slot.state for slot in core.slots]
        assert states.count(IDLE) == core.idle_count == sum(len(home.idle) for home in self.homes)
        assert states.count(LENT) == core.lent
        assert states.count(OPENING) == core.opening == sum(home.opening for home in self.homes)
        assert states.count(CLOSING) == core.closing == len(self._jobs("to_destroy"))
        assert states.count(RESETTING) == len(self.resetting)
        assert core.opening == len(self._jobs("to_open"))

    @invariant()
    def the_bounds_hold(self):
        if not hasattr(self, "core"):
            return
        core = self.core
        self.most = max(core.options.max_size, min(self.most, len(core.slots)))
        assert len(core.slots) <= self.most
        assert core.opening <= core.options.max_opening
        assert len(core.line) <= MAX_WAITING

    @invariant()
    def every_loan_has_one_borrower(self):
        if not hasattr(self, "core"):
            return
        held = [lease._slot for lease in self.leases]
        held += [one.thing._slot for one in self.waiting if one.state == SERVED and not one.deaf]
        held += [
            one.thing._slot
            for one in self.waiting
            if one.state == SERVED and one.deaf and one.thing is not None
        ]
        assert len(set(map(id, held))) == len(held)
        assert {id(slot) for slot in held} == {
            id(slot) for slot in self.core.slots if slot.state == LENT
        }

    @invariant()
    def nobody_waits_for_what_is_idle(self):
        if not hasattr(self, "core"):
            return
        core = self.core
        for place in core.line:
            assert not place.wants.home.idle
        if core.line and not core.closed:
            # Somebody waits: then something is lent, on its way in or out, or a pause is on.
            on_the_way = core.lent + core.opening + core.closing + len(self.resetting)
            assert on_the_way or self.clock.now() < core.retry_at

    @invariant()
    def the_line_is_served_in_its_order(self):
        if not hasattr(self, "core"):
            return
        for home in self.homes:
            here = [one for one in self.waiting if one.wants.home is home and not one.deaf]
            served = [one.state != WAITING for one in here]
            assert served == sorted(served, reverse=True)

    @invariant()
    def a_closed_pool_keeps_nothing_idle(self):
        if hasattr(self, "core") and self.core.closed:
            assert self.core.idle_count == 0
            assert not self.core.line


def test_a_resource_pool_does_what_its_model_says(monkeypatch):
    """Whatever the order of events."""
    monkeypatch.setattr(logging.getLogger("holdfast.track"), "disabled", True)  # dropped leases
    run_state_machine_as_test(Pool, settings=settings(max_examples=300, stateful_step_count=60))
