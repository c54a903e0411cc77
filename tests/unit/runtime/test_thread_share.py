"""When a process looks at its share of the machine's threads again."""

import pytest

from holdfast.pools._supply import SUPPLY
from holdfast.pools.budget import current_budget, set_budget
from holdfast.runtime import _thread_share
from holdfast.runtime._thread_share import ThreadShare
from holdfast.sense import Reading
from holdfast.watch.machine_share import Member


class Meeting:
    """Stands for the folder in which the processes meet."""

    def __init__(self):
        self.looks = 0
        self.others = []
        self.fair = 0
        self.gives = 8
        self.total = None
        self.told = []  # how many workers there are, and threads beside them
        self.limits = []  # how many workers there could be at that moment

    def look(self, *, total, wanted, held, beside=0):
        """Grant as much as the test says."""
        self.total = total
        self.looks += 1
        self.fair = wanted
        self.told.append((held(self.gives), beside))
        self.limits.append(SUPPLY.limit)
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


def test_no_worker_starts_between_what_it_says_and_what_it_is_granted(meeting, monkeypatch):
    """The budget is lowered first: a thread that started after would be granted to somebody else."""
    monkeypatch.setattr(_thread_share, "_most_wanted", lambda: 8)
    share = ThreadShare(meeting, 8)
    share.look()
    meeting.gives = 3
    share.look()

    assert meeting.limits == [8, 3]


@pytest.mark.parametrize("left", [(40, 30), (30, 40)], ids=["started", "ended"])
def test_threads_that_come_or_go_while_they_are_counted_are_not_counted_twice(
    meeting, monkeypatch, left
):
    """As free and as held: what is left under the limit is read before and after the workers."""
    readings = [Reading("threads", 70 - free, "threads", 70) for free in left]
    monkeypatch.setattr(_thread_share, "thread_bound", lambda: readings.pop(0))
    monkeypatch.setattr(_thread_share, "thread_count", lambda pid=None: 25 if pid == 7 else 5)
    monkeypatch.setattr(SUPPLY, "threads", 0)
    meeting.others = [Member(pid=7, granted=20, wanted=24, beside=5)]

    ThreadShare(meeting, 8).look()

    assert meeting.total == int(0.9 * (30 + 20))


def test_threads_beyond_a_grant_are_not_taken_for_workers(meeting, monkeypatch):
    """They have been started since their process told of those beside its workers."""
    monkeypatch.setattr(
        _thread_share, "thread_bound", lambda: Reading("threads", 40, "threads", 70)
    )
    monkeypatch.setattr(_thread_share, "thread_count", lambda pid=None: 9)
    monkeypatch.setattr(SUPPLY, "threads", 0)
    meeting.others = [Member(pid=7, granted=2, wanted=24, beside=3)]

    ThreadShare(meeting, 8).look()

    assert meeting.total == int(0.9 * (30 + 2))


def test_workers_that_come_while_threads_are_counted_are_not_taken_for_others(meeting, monkeypatch):
    """Then others would be told that there is less for workers; what was told last holds."""
    share = ThreadShare(meeting, 8)
    monkeypatch.setattr(SUPPLY, "threads", 2)
    monkeypatch.setattr(_thread_share, "thread_count", lambda pid=None: 7)
    share.look()

    def while_they_start(pid=None):
        SUPPLY.threads += 1
        return 5 + SUPPLY.threads

    monkeypatch.setattr(_thread_share, "thread_count", while_they_start)
    share.look()

    assert [beside for _, beside in meeting.told] == [5, 5]
