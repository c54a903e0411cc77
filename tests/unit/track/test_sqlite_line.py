"""The writer's line alone: order, bounds, and those that leave."""

import pytest

import holdfast
from holdfast.track._site import NOWHERE
from holdfast.track._sqlite.jobs import Statement
from holdfast.track._sqlite.lease import End, Lease
from holdfast.track._sqlite.line import Line


def job(queued_at=0.0):
    made = Statement("INSERT", (), None)
    made.queued_at = queued_at
    return made


def line_of(jobs, max_queue=None):
    line = Line("notes", max_queue)
    for one in jobs:
        line.put(one)
    return line


@pytest.mark.parametrize("taken", ["one by one", "together"])
def test_one_that_was_withdrawn_is_passed_over(taken):
    """First, in the middle or last; the others keep their order."""
    jobs = [job() for _ in range(6)]
    line = line_of(jobs)

    withdrawn = [line.withdraw(jobs[n]) for n in (0, 3, 5)]

    assert withdrawn == [True] * 3
    assert len(line) == 3
    if taken == "together":
        assert line.take_more(10) == [jobs[1], jobs[2], jobs[4]]
    else:
        assert [line.take() for _ in range(4)] == [jobs[1], jobs[2], jobs[4], None]
        assert line.is_idle
    assert len(line) == 0


def test_one_is_withdrawn_once_and_not_when_it_has_begun():
    """Nor before it stands in line."""
    first, second, stranger = job(), job(), job()
    line = line_of([first, second])
    line.take()

    assert [line.withdraw(one) for one in (first, second, second, stranger)] == [
        False,
        True,
        False,
        False,
    ]
    assert len(line) == 0


def test_places_of_those_that_left_are_free():
    """A full line counts those that wait."""
    jobs = [job() for _ in range(3)]
    line = line_of(jobs, max_queue=3)
    with pytest.raises(holdfast.QueueFull, match="3 writes wait"):
        line.put(job())

    line.withdraw(jobs[1])
    line.put(job())

    assert len(line) == line.peak == 3


def test_the_line_keeps_no_crowd_of_those_that_left():
    """While a transaction holds the writer, any number may come and go."""
    stays = job()
    line = line_of([stays])
    lease = Lease(NOWHERE)
    lease.owner = 0  # some other thread's
    line.grant(lease, job(), 0.0)

    for _ in range(10_000):
        goes = job()
        line.put(goes)
        line.withdraw(goes)

    assert len(line) == 1
    assert len(line._waiting) < 200
    line.release(lease)
    assert [line.take(), line.take()] == [stays, None]


def test_those_that_have_waited_too_long_are_taken_out():
    """And no others; they do not come up again."""
    old, young = job(queued_at=1.0), job(queued_at=2.0)
    line = line_of([old, young])

    assert line.take_waiting_since(1.5) == [old]
    assert (len(line), line.withdraw(old)) == (1, False)
    assert [line.take(), line.take()] == [young, None]


@pytest.mark.parametrize("end", ["release", "cut"])
def test_what_is_left_of_a_transaction_can_not_be_withdrawn(end):
    """It is on its way to be refused, and stands in no line."""
    line, lease, left = line_of([]), Lease(NOWHERE), job()
    line.grant(lease, job(), 0.0)
    line.put_leased(lease, left)

    found = (
        line.release(lease)
        if end == "release"
        else line.cut(lease, RuntimeError(), End(lease, commit=False))
    )

    assert found == [left]
    assert not line.withdraw(left)
    assert len(line) == 0
