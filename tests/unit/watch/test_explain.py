"""From an error to the resource that ran out."""

import errno
import json
import os

import pytest

import holdfast
from holdfast.watch import explain as explain_module
from holdfast.watch._causes import cause_of, chain


class PoolTimeout(Exception):
    """As httpx, httpcore and httpx2 have one."""


@pytest.mark.parametrize(
    ("error", "resource"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "descriptors"),
        (OSError(errno.ENFILE, "Too many open files in system"), "machine descriptors"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "connections"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "threads"),
        (Exception("unable to open database file"), "descriptors"),
        (PoolTimeout(), "connections"),
        (Exception("QueuePool limit of size 5 overflow 10 reached"), "connections"),
    ],
)
def test_each_error_is_explained_by_what_ran_out(error, resource):
    """With the figure of now, where there is one, and what to do."""
    told = holdfast.explain(error)

    assert told.resource == resource
    assert told.do
    assert (told.reading is None) == (resource in {"connections", "disk"})
    assert str(told).startswith(type(error).__name__)
    json.dumps(told.to_dict())


@pytest.mark.parametrize(
    "error", [KeyError("a"), BlockingIOError(errno.EAGAIN, "later"), OSError()]
)
def test_an_error_of_another_kind_is_not_explained(error):
    """It is said that nothing is known."""
    told = holdfast.explain(error)

    assert told.resource == ""
    assert told.findings == ()
    assert "Nothing is known" in told.says


def test_the_cause_is_found_below_other_errors():
    """In what it was raised from, in what was handled meanwhile, and in groups."""
    cause = RuntimeError("can't start new thread")
    wrapped = ValueError("tool failed")
    wrapped.__cause__ = cause
    handled = ValueError("tool failed")
    handled.__context__ = cause
    group = ExceptionGroup("all failed", [KeyError("a"), ExceptionGroup("inner", [wrapped])])

    for error in (wrapped, handled, group):
        assert holdfast.explain(error).resource == "threads"
        assert "can't start new thread" in holdfast.explain(error).error


def test_a_ring_of_causes_ends():
    """Errors that name each other."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one

    assert list(chain(one)) == [one, other]


def test_a_refused_fork_is_told_from_a_read_that_would_block():
    """Both are EAGAIN; where it was raised decides."""

    def starts():
        if False:
            os.fork()
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    with pytest.raises(BlockingIOError) as raised:
        starts()

    assert cause_of(raised.value)[0] == "processes"


def test_where_the_process_can_not_be_read_the_error_is_explained_all_the_same(monkeypatch):
    """Without figures."""

    def refuses():
        raise NotImplementedError

    monkeypatch.setattr(explain_module, "audit", refuses)
    told = holdfast.explain(MemoryError())

    assert (told.resource, told.reading, told.findings) == ("memory", None, ())
    assert told.do in str(told)


def test_an_explanation_after_the_fact_says_that_there_is_room_now():
    """The descriptors may have been closed while the error was on its way."""
    told = holdfast.explain(OSError(errno.EMFILE, "Too many open files"))

    assert "Now there is room" in told.says
