"""What ``holdfast.sense.own`` says about this process."""

import os
import resource
import sys
import threading

import pytest
from tests.unit.sense.crew import counts_threads

from holdfast.sense import _counts, own
from holdfast.sense.own import OwnReading, peak_rss_bytes, read_own

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_opened_descriptors_are_counted_one_by_one():
    """Five more descriptors make the figure five larger, and closing them takes them off again."""
    before = read_own().fds
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]

    during = read_own().fds
    for fd in opened:
        os.close(fd)
    after = read_own().fds

    assert before is not None
    assert during == before + 5
    assert after == before


def test_threads_are_counted_one_by_one():
    """Three more threads make the figure three larger."""
    assert counts_threads(lambda: read_own().threads)


def test_memory_that_is_touched_shows_up():
    """Forty megabytes that were written to are resident, now and in the peak."""
    before = read_own().rss_bytes

    held = bytearray(os.urandom(1)) * 40_000_000
    during = read_own().rss_bytes
    size = len(held)
    del held

    assert before is not None
    assert during is not None
    assert during - before > size * 0.9
    assert (peak_rss_bytes() or 0) >= during * 0.95  # the kernel updates the two apart


def test_the_descriptor_limit_is_the_soft_one():
    """What the process may open is what the soft limit says."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    reading = read_own()

    assert reading.fd_limit == (None if soft == resource.RLIM_INFINITY else soft)


def test_no_limit_at_all_reads_as_none(monkeypatch):
    """An infinite limit is the absence of a figure, not a very large one."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, 0))

    reading = read_own()

    assert reading.fd_limit is None


def test_a_reading_leaves_no_descriptor_open():
    """Reading a hundred times opens nothing that stays."""
    before = read_own().fds

    for _ in range(100):
        read_own()
        peak_rss_bytes()

    assert read_own().fds == before


@linux_only
def test_an_older_kernel_is_read_by_listing(monkeypatch):
    """Where directories have neither size nor links, their entries give the same figures."""
    now = read_own()
    monkeypatch.setattr(_counts, "_known", {_counts.FD: False, _counts.TASK: False})

    older = read_own()

    assert (older.threads, older.fds) == (now.threads, now.fds)


@linux_only
def test_without_proc_the_figures_are_none_or_python_s_own(monkeypatch):
    """A container without /proc gets Python's view of threads, and no figure for descriptors."""

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(own.os, "stat", missing)
    monkeypatch.setattr(own.os, "listdir", missing)
    monkeypatch.setattr(own, "open", missing, raising=False)

    reading = read_own()

    assert reading.threads == threading.active_count()
    assert reading.fds is None
    assert reading.rss_bytes == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_mac_is_read_through_dev_fd(monkeypatch):
    """Off Linux descriptors come from /dev/fd, threads from Python, memory from getrusage."""
    monkeypatch.setattr(own, "LINUX", False)
    expected = len(os.listdir("/dev/fd")) - 1

    reading = read_own()

    assert reading.fds == expected
    assert reading.threads == threading.active_count()
    assert reading.rss_bytes is not None


@linux_only
def test_the_peak_is_this_program_s_own_not_its_parent_s():
    """The peak never lies below what is resident now, and is read from the program's own record."""
    reading = read_own()

    peak = peak_rss_bytes()

    assert peak is not None
    assert reading.rss_bytes is not None
    assert peak >= reading.rss_bytes * 0.9


def test_a_reading_cannot_be_changed():
    """A reading is a record of one moment."""
    reading = OwnReading(1, 2, 3, 4)

    with pytest.raises(AttributeError):
        reading.threads = 9
