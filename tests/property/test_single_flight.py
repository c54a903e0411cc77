"""A single-flight against a model, over begin, join, settle, cancel, time and close in any order.

The model knows for each key which run is in flight and who waits for it. After every step each caller
has exactly the outcome that the model gives it, no key has two leaders, and the statistics agree.
"""

import asyncio

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

from holdfast.errors import Aborted, CallTimeout, PoolClosed, QueueFull
from holdfast.flow.single_flight import SingleFlight
from holdfast.testing import FakeClock

TIMEOUT = 10.0
MAX_JOINERS = 4
KEYS = st.sampled_from("ab")
HOW = st.sampled_from(["value", "error", "abort"])


class WorkError(Exception):
    """What work fails with."""


class Work:
    """One call of the function, from its first step to its last."""

    def __init__(self, caller):
        self.caller = caller
        self.end = asyncio.get_running_loop().create_future()
        self.alive = True


class Run:
    """A run, as the model sees it: who waits for it, and which ticket or caller leads."""

    def __init__(self, leader):
        self.leader = leader
        self.waiting = []


class Caller:
    """Somebody who called ``run``, or joined by a ticket; ``expected`` is what it has to end with."""

    def __init__(self, run, *, timeout, has_call):
        self.run = run
        self.timeout = timeout
        self.may_lead = has_call
        self.task = None
        self.expected = None


class FlightMachine(RuleBasedStateMachine):
    """Callers, tickets and work on one loop, in fake time."""

    @initialize(promote=st.booleans())
    def set_up(self, promote):
        """Make a flight."""
        self.clock = FakeClock()
        self.clock.__enter__()
        self.runner = asyncio.Runner(loop_factory=self.clock.new_event_loop)
        self.promote = promote
        self.flight = SingleFlight(max_joiners=MAX_JOINERS, promote=promote)
        self.runs = {}
        self.callers = []
        self.works = []
        self.leads = []
        self.places = []
        self.closed = False
        self.counts = {"leaders": 0, "joiners": 0, "refused": 0}

    # ------------------------------------------------------------ steps

    def step(self, action=lambda: None):
        """Do something on the loop, and let everything that is ready run."""

        async def do():
            found = action()
            for _ in range(10):
                await asyncio.sleep(0)
            return found

        return self.runner.run(do())

    async def work(self, caller):
        """What every caller asks for: wait until the test ends it."""
        work = Work(caller)
        self.works.append(work)
        try:
            how = await work.end
        finally:
            work.alive = False
        if how == "error":
            raise WorkError
        return work

    def admitted(self, key):
        """What the model says of a newcomer: the run that it joins, a new one, or a refusal."""
        if self.closed:
            return PoolClosed
        run = self.runs.get(key)
        if run is None:
            self.counts["leaders"] += 1
            return None
        joiners = len(run.waiting) - (isinstance(run.leader, Caller) and run.leader in run.waiting)
        if joiners >= MAX_JOINERS:
            self.counts["refused"] += 1
            return QueueFull
        self.counts["joiners"] += 1
        return run

    @rule(key=KEYS, timed=st.booleans())
    def call(self, key, timed):
        """Somebody calls ``run``."""
        admitted = self.admitted(key)
        timeout = TIMEOUT if timed else None
        caller = Caller(None, timeout=timeout, has_call=True)
        view = self.flight.options(timeout=timeout)
        caller.task = self.step(lambda: asyncio.ensure_future(view.run(key, self.work, caller)))
        self.callers.append(caller)
        if admitted in {PoolClosed, QueueFull}:
            caller.expected = admitted
            return
        if admitted is None:
            admitted = self.runs[key] = Run(caller)
            caller.may_lead = False
            assert self.works[-1].caller is caller
        caller.run = admitted
        admitted.waiting.append(caller)

    @rule(key=KEYS)
    def begin(self, key):
        """Somebody takes a ticket."""
        admitted = self.admitted(key)
        if admitted in {PoolClosed, QueueFull}:
            with pytest.raises(admitted):
                self.flight.begin(key)
            return
        ticket = self.flight.begin(key)
        assert ticket.leads == (admitted is None)
        if admitted is None:
            self.runs[key] = Run(ticket)
            self.leads.append((ticket, self.runs[key]))
        else:
            place = Caller(admitted, timeout=None, has_call=False)
            admitted.waiting.append(place)
            self.places.append((ticket, place))

    @precondition(lambda self: self.places)
    @rule(data=st.data(), join=st.booleans())
    def use_place(self, data, join):
        """A ticket that waits is joined, perhaps after the end of its run, or left."""
        index = data.draw(st.integers(0, len(self.places) - 1))
        ticket, place = self.places.pop(index)
        if join:
            place.task = self.step(lambda: asyncio.ensure_future(ticket.join()))
            self.callers.append(place)
        else:
            self.step(ticket.leave)
            if place.expected is None:
                place.expected = "left"
                self.left(place)

    @precondition(lambda self: self.leads)
    @rule(data=st.data(), how=HOW)
    def settle(self, data, how):
        """A ticket that leads is settled, perhaps a second time, perhaps after its run was taken over."""
        index = data.draw(st.integers(0, len(self.leads) - 1))
        ticket, run = self.leads[index]
        counts = run in self.runs.values() and run.leader is ticket
        act = {
            "value": lambda: ticket.settle(ticket),
            "error": lambda: ticket.fail(WorkError()),
            "abort": ticket.abort,
        }[how]

        assert self.step(act) is counts

        if counts:
            self.ended(run, how, ticket)

    @precondition(lambda self: any(work.alive for work in self.works))
    @rule(data=st.data(), how=HOW)
    def end_work(self, data, how):
        """Some work returns, raises, or is cancelled by somebody else."""
        alive = [work for work in self.works if work.alive]
        work = alive[data.draw(st.integers(0, len(alive) - 1))]
        run = work.caller.run
        counts = run in self.runs.values() and run.leader is work.caller
        self.step(work.end.cancel if how == "abort" else lambda: work.end.set_result(how))
        assert not work.alive
        if counts:
            self.ended(run, how, work)

    @precondition(lambda self: any(self.waits(caller) for caller in self.callers))
    @rule(data=st.data())
    def cancel(self, data):
        """A caller that waits is cancelled."""
        waiting = [caller for caller in self.callers if self.waits(caller)]
        caller = waiting[data.draw(st.integers(0, len(waiting) - 1))]
        self.step(caller.task.cancel)
        caller.expected = asyncio.CancelledError
        self.left(caller)

    @rule()
    def pass_time(self):
        """All whose time is limited are told that it is up."""
        hurried = [caller for caller in self.callers if self.waits(caller) and caller.timeout]
        self.clock.advance(1.0)
        self.step()
        self.clock.advance(TIMEOUT * 1.1)
        self.step()
        for caller in hurried:
            caller.expected = CallTimeout
            self.left(caller)

    @rule()
    def close(self):
        """The flight is closed, perhaps again."""
        self.closed = True
        self.step(self.flight.close)
        for run in list(self.runs.values()):
            self.tell(run, Aborted)

    # ------------------------------------------------------------ the model

    def waits(self, caller):
        return caller.expected is None and caller.task is not None

    def left(self, caller):
        """Somebody waits no more: the last one takes the work of a caller with it."""
        run = caller.run
        run.waiting.remove(caller)
        if not run.waiting and isinstance(run.leader, Caller) and run in self.runs.values():
            self.forget(run)

    def ended(self, run, how, result):
        """The leader of a run has ended."""
        if how == "abort":
            self.aborted(run)
        else:
            self.tell(run, result if how == "value" else WorkError)

    def aborted(self, run):
        """Somebody takes over, if anybody may; otherwise all are told."""
        heirs = [caller for caller in run.waiting if caller.may_lead]
        if not self.promote or not heirs:
            if isinstance(run.leader, Caller) and run.leader in run.waiting:
                run.leader.expected = asyncio.CancelledError
            self.tell(run, Aborted)
            return
        heir = self.works[-1].caller
        assert self.works[-1].alive
        assert heir in heirs
        heir.may_lead = False
        run.leader = heir

    def tell(self, run, outcome):
        for caller in run.waiting:
            if caller.expected is None:
                caller.expected = outcome
        self.forget(run)

    def forget(self, run):
        for key, one in list(self.runs.items()):
            if one is run:
                del self.runs[key]

    # ------------------------------------------------------------ what has to hold

    @invariant()
    def every_caller_has_its_one_outcome(self):
        """And who waits in the model waits."""
        for caller in self.callers:
            if caller.expected is None:
                assert not caller.task.done()
                continue
            assert caller.task.done()
            if caller.task.cancelled():
                assert caller.expected is asyncio.CancelledError
            elif (error := caller.task.exception()) is not None:
                assert type(error) is caller.expected
            else:
                assert caller.task.result() is caller.expected

    @invariant()
    def no_key_has_two_leaders(self):
        """Whatever works belongs to the one leader of a run in flight."""
        for work in self.works:
            if work.alive:
                assert work.caller.run in self.runs.values()
                assert work.caller.run.leader is work.caller

    @invariant()
    def the_statistics_agree(self):
        """With the model's figures."""
        stats = self.flight.stats()
        shown = {run.key: run.waiting for run in stats.runs}
        assert shown == {key: len(run.waiting) for key, run in self.runs.items()}
        assert stats.in_flight == len(self.runs)
        assert stats.waiting == sum(shown.values())
        assert stats.ending == 0
        assert (stats.leaders, stats.joiners) == (self.counts["leaders"], self.counts["joiners"])
        assert stats.rejected.get("full", 0) == self.counts["refused"]

    def teardown(self):
        """Close what is left; nobody may hang."""
        if not hasattr(self, "runner"):
            return
        self.close()
        self.every_caller_has_its_one_outcome()
        self.runner.close()
        self.clock.__exit__(None, None, None)


def test_every_caller_has_exactly_one_outcome_and_no_key_two_leaders():
    """Whatever happens, in whatever order."""
    run_state_machine_as_test(
        FlightMachine, settings=settings(max_examples=120, stateful_step_count=40, deadline=None)
    )
