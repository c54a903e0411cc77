"""Threads before a client, in any order of coming, leaving and giving back: nobody is lost, or one too many.

The places in the line are moved by hand, as their threads would move them: so each interleaving of a
hand-over with an interrupt or a timeout can be had.
"""

import asyncio

import pytest
from hypothesis import given, strategies as st

import holdfast
from holdfast.track._http.thread_gate import ThreadGate
from holdfast.track._http.tickets import Ticket
from holdfast.track._place import REFUSED, SERVED, WAITING, ThreadPlace
from holdfast.track._site import NOWHERE

STEPS = st.lists(
    st.tuples(st.sampled_from(("come", "give back", "interrupt", "time out")), st.integers(0, 9)),
    max_size=40,
)


class Line:
    """A gate, and who has come to it."""

    def __init__(self, limit):
        self.gate = ThreadGate("g", limit, max_queue=1000, queue_timeout=1.0)
        self.came = []  # (ticket, place) of those that are out or in line, in the order of coming

    def come(self, _):
        ticket = Ticket(self.gate, str(len(self.came)), NOWHERE)
        place = ThreadPlace(0.0, (ticket, 1.0))
        self.gate._let_through(ticket, place)
        self.came.append((ticket, place))

    def out(self):
        return [each for each in self.came if each[0] in self.gate.out()]

    def waiting(self):
        return [each for each in self.came if each not in self.out()]

    def pick(self, each, among):
        return among[each % len(among)] if among else None

    def give_back(self, which):
        if found := self.pick(which, self.out()):
            found[0].give_back()
            self.came.remove(found)

    def interrupt(self, which):
        """Ctrl-C in a thread that waits, or that was served and has not woken up yet."""
        served = [each for each in self.came if each[1].state == SERVED]
        if found := self.pick(which, self.waiting() + served):
            self.gate.leave(found[1])
            self.came.remove(found)

    def time_out(self, which):
        """As the thread does: it may have been served in that very moment."""
        served = [each for each in self.came if each[1].state == SERVED]
        if found := self.pick(which, self.waiting() + served):
            state = found[1].state
            self.gate.expire(found[1])
            if found in self.waiting():
                assert (state, found[1].state) == (WAITING, REFUSED)
                assert isinstance(found[1].error, holdfast.QueueTimeout)
                self.gate.leave(found[1])
                self.came.remove(found)

    def check(self):
        out = self.out()
        assert len(self.gate.out()) == len(out) <= self.gate.limit
        assert self.gate.queued == len(self.waiting())
        assert not self.waiting() or len(out) == self.gate.limit
        # Nobody has overtaken: all that are out came before all that wait.
        assert self.came == [*out, *self.waiting()]


@given(limit=st.integers(1, 4), steps=STEPS)
def test_the_gate_of_threads_keeps_its_bound_and_its_order(limit, steps):
    """Checked after every step against a list of who came when."""
    line = Line(limit)
    moves = {
        "come": line.come,
        "give back": line.give_back,
        "interrupt": line.interrupt,
        "time out": line.time_out,
    }
    for step, which in steps:
        moves[step](which)
        line.check()
    while line.out():
        line.give_back(0)
        line.check()
    assert not line.came


def test_a_thread_gate_that_is_closed_refuses_all_that_wait_and_come():
    """And what is out can still be given back."""
    line = Line(1)
    for _ in range(3):
        line.come(0)

    line.gate.close()

    for _, place in line.waiting():
        with pytest.raises(holdfast.PoolClosed):
            place.outcome()
    with pytest.raises(holdfast.PoolClosed, match="was closed; ask for it again"):
        line.gate.enter("GET late")
    line.came[0][0].give_back()
    assert not line.gate.out()


def test_a_thread_that_runs_a_loop_still_gets_what_is_free():
    """Only waiting is refused there."""

    async def main():
        gate = ThreadGate("g", 1, max_queue=9, queue_timeout=1.0)
        ticket = gate.enter("GET one")
        with pytest.raises(holdfast.QueueFull, match=r"holdfast\.http there"):
            gate.enter("GET two")
        ticket.give_back()
        gate.enter("GET three").give_back()

    asyncio.run(main())
