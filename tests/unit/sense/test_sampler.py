"""``holdfast.sense.sampler``: four figures, and the descriptors that are kept for them."""

import gc
import os
import sys
import threading

import pytest
from tests.unit.sense.crew import counts_threads

from holdfast.sense import Sample, Sampler, _counts, release, sample, sampler as module

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def fds():
    """How many descriptors there are, found in another way."""
    return len(os.listdir("/proc/self/fd")) - 1


def test_the_figures_are_those_of_the_process():
    """The kept descriptors are counted like any others."""
    before = fds()
    with Sampler() as sampler:
        now = sampler.sample()

        assert now.fds == fds() == before + 3
        assert now.threads >= threading.active_count()
        assert now.rss_bytes > 1_000_000
        assert now.cpu_s > 0


def test_descriptors_are_counted_one_by_one():
    """Five more."""
    with Sampler() as sampler:
        before = sampler.sample()
        opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]

        during = sampler.sample()
        for fd in opened:
            os.close(fd)

    assert during.fds == before.fds + 5


def test_threads_are_counted_one_by_one():
    """Three more."""
    with Sampler() as sampler:
        assert counts_threads(lambda: sampler.sample().threads)


def test_three_descriptors_are_kept_and_closed():
    """They are named, and no child gets them."""
    sampler = Sampler()
    assert sampler.kept() == ()

    sampler.sample()
    kept = sampler.kept()
    inherited = [os.get_inheritable(fd) for fd in kept]
    sampler.close()
    sampler.close()

    assert len(set(kept)) == 3
    assert inherited == [False] * 3
    assert sampler.kept() == ()


def test_a_closed_sampler_opens_again():
    """The next sample does it."""
    with Sampler() as sampler:
        sampler.sample()
        sampler.close()

        again = sampler.sample()

        assert again.fds == fds()
        assert len(sampler.kept()) == 3


def test_a_sampler_that_is_forgotten_closes_what_it_keeps():
    """Nothing is left of it."""
    before = fds()
    Sampler().sample()

    gc.collect()

    assert fds() == before


def test_numbers_that_somebody_else_has_by_now_are_left_alone(tmp_path):
    """A program closes all descriptors and opens its own; they are neither read nor closed."""
    path = tmp_path / "numbers"
    path.write_text("1 2 3 4 5 6 7")
    with Sampler() as sampler:
        sampler.sample()
        kept = sampler.kept()
        for fd in kept:
            os.close(fd)
        theirs = [os.open(path, os.O_RDONLY) for _ in kept]
        assert sorted(theirs) == sorted(kept)

        now = sampler.sample()
        moved = sampler.kept()
        sampler.close()
        still_there = [os.read(fd, 1) for fd in theirs]
        for fd in theirs:
            os.close(fd)

    assert now.fds == fds() + 6
    assert now.rss_bytes > 1_000_000
    assert not set(moved) & set(kept)
    assert still_there == [b"1"] * 3


def test_kept_numbers_that_are_closed_are_not_closed_again():
    """Who is told to close finds nothing to close."""
    with Sampler() as sampler:
        sampler.sample()
        for fd in sampler.kept():
            os.close(fd)

        sampler.close()

        assert sampler.sample().fds == fds()


@pytest.mark.parametrize("believed", [True, False])
def test_listing_gives_the_same_figures(monkeypatch, believed):
    """As on an older kernel."""
    monkeypatch.setattr(
        _counts,
        "_known",
        {
            _counts.FD: believed and _counts.size_is_fds(),
            _counts.TASK: believed and _counts.links_are_threads(),
        },
    )
    with Sampler() as sampler:
        sampler.sample()

        now = sampler.sample()

        assert now.fds == fds()
        assert counts_threads(lambda: sampler.sample().threads)


def test_figures_that_cannot_be_read_are_none(monkeypatch):
    """Threads are Python's own then; nothing raises."""

    def refuse(*_, **__):
        raise OSError

    with Sampler() as sampler:
        for name in ("open", "stat", "listdir"):
            monkeypatch.setattr(os, name, refuse)
        now = sampler.sample()
        monkeypatch.undo()

    assert (now.fds, now.rss_bytes) == (None, None)
    assert now.threads == threading.active_count()


def test_the_functions_keep_one_sampler_for_the_process():
    """And let go of it when they are told to."""
    before = fds()

    first = sample()
    second = sample()
    release()

    assert isinstance(first, Sample)
    assert second.fds == before + 3
    assert fds() == before


def test_a_signal_handler_may_take_a_sample_in_the_middle_of_one(monkeypatch):
    """The lock lets its own thread in again."""
    inner = []
    with Sampler() as sampler:
        sampler.sample()
        real = module.own_cpu_s

        def interrupted():
            if not inner:
                inner.append(None)
                inner[0] = sampler.sample()
            return real()

        monkeypatch.setattr(module, "own_cpu_s", interrupted)
        outer = sampler.sample()

    assert inner[0].fds == outer.fds


def test_off_linux_the_figures_come_from_elsewhere(monkeypatch):
    """Nothing is kept."""
    monkeypatch.setattr(module, "LINUX", False)
    monkeypatch.setattr(module, "figures", lambda: (7, 2, 4096))
    with Sampler() as sampler:
        now = sampler.sample()

        assert (now.fds, now.threads, now.rss_bytes) == (7, 2, 4096)
        assert sampler.kept() == ()
