"""When a process looks at its share of the machine's threads again."""

import pytest

from holdfast.pools.budget import current_budget, set_budget
from holdfast.runtime._thread_share import ThreadShare
from holdfast.watch.machine_share import Member


class Meeting:
    """Stands for the folder in which the processes meet."""

    def __init__(self):
        self.looks = 0
        self.others = []
        self.fair = 0
        self.gives = 8

    def look(self, *, total, wanted, held, beside=0):
        """Grant as much as the test says."""
        del total, held, beside
        self.looks += 1
        self.fair = wanted
        return self.gives

    def members(self):
        """The others."""
        return list(self.others)


@pytest.fixture
def meeting(fake_clock):
    """A meeting place, at a time that the test tells; the budget is put back."""
    del fake_clock
    before = current_budget()
    yield Meeting()
    set_budget(before)


def test_while_nothing_changes_it_looks_each_second(meeting, fake_clock):
    """A glance in between costs little, and grants nothing."""
    share = ThreadShare(meeting, 8)
    share.tick()
    for _ in range(9):
        fake_clock.advance(0.1)
        share.tick()
    assert meeting.looks == 1

    fake_clock.advance(0.1)
    share.tick()

    assert meeting.looks == 2


def test_it_looks_at_the_next_glance_when_somebody_comes_or_wants_more_or_goes(meeting):
    """So a newcomer waits for a fraction of a second, and what is left is used as soon."""
    share = ThreadShare(meeting, 8)
    share.tick()
    seen = []

    for others in ([(7, 1)], [(7, 24)], [(7, 24)], []):
        meeting.others = [Member(pid=pid, granted=0, wanted=wanted) for pid, wanted in others]
        share.tick()
        seen.append(meeting.looks)

    assert seen == [2, 3, 3, 4]


def test_it_looks_at_each_glance_while_it_has_less_than_is_fair(meeting):
    """Until the others have given way."""
    meeting.gives = 0
    share = ThreadShare(meeting, 8)
    share.tick()
    share.tick()
    assert meeting.looks == 2

    meeting.gives = 8
    share.tick()
    share.tick()

    assert meeting.looks == 3
