"""``raise_fd_limit``: what it decides; ``tests/system/test_sense.py`` lets it change real limits."""

import resource

import pytest

from holdfast.sense import FdLimit, fd_limit, raise_fd_limit

ENDLESS = resource.RLIM_INFINITY


@pytest.fixture
def limits(monkeypatch):
    """Give limits to the process, and note what is asked for."""

    def give(soft, hard, refuse=lambda _: False):
        now = [soft, hard]
        asked = []

        def change(_, pair):
            asked.append(pair)
            if refuse(pair[0]):
                msg = "current limit exceeds maximum limit"
                raise ValueError(msg)
            now[:] = pair

        monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(now))
        monkeypatch.setattr(resource, "setrlimit", change)
        return asked

    return give


def test_it_raises_to_the_target(limits):
    """And leaves the hard limit alone."""
    asked = limits(256, 100_000)

    assert raise_fd_limit(5000) == FdLimit(256, 5000, 100_000, "raised to 5,000 as wanted")
    assert asked == [(5000, 100_000)]


def test_without_a_target_it_raises_to_65536(limits):
    """The usual one."""
    limits(1024, ENDLESS)

    assert raise_fd_limit().after == 65_536


def test_the_hard_limit_cuts_the_target(limits):
    """As far as it may."""
    limits(1024, 4096)

    done = raise_fd_limit()

    assert (done.before, done.after, done.hard) == (1024, 4096, 4096)
    assert done.reason == "raised to 4,096, as far as the system allows; 65,536 were wanted"


@pytest.mark.parametrize("soft", [5000, 9000, ENDLESS])
def test_it_never_lowers(limits, soft):
    """There is nothing to do."""
    asked = limits(soft, ENDLESS)

    done = raise_fd_limit(5000)

    assert done.before == done.after
    assert done.reason.startswith("nothing to do")
    assert asked == []


def test_a_hard_limit_that_is_reached_is_told(limits):
    """With who can raise it."""
    asked = limits(4096, 4096)

    assert "raise that as root" in raise_fd_limit().reason
    assert asked == []


def test_a_refusal_is_told_and_not_raised(limits):
    """The program goes on with what it has."""
    limits(1024, 4096, refuse=lambda _: True)

    done = raise_fd_limit()

    assert done.after == 1024
    assert done.reason == ("the system refused 4,096: current limit exceeds maximum limit")


def test_where_endless_is_not_meant_so_the_usual_ceiling_is_tried(limits):
    """A Mac says that the hard limit is endless, and takes 10,240."""
    asked = limits(256, ENDLESS, refuse=lambda soft: soft > 10_240)

    done = raise_fd_limit()

    assert (done.after, len(asked)) == (10_240, 2)


def test_a_platform_without_such_a_limit_is_told(monkeypatch):
    """Nothing is raised, in either sense."""
    monkeypatch.setattr(fd_limit, "own_rlimit", lambda _: None)

    assert raise_fd_limit() == FdLimit(
        None, None, None, "not available here: the platform has no such limit"
    )


@pytest.mark.parametrize(("target", "kind"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_the_target_is_a_whole_number_above_zero(target, kind):
    """A mistake of the caller's is an error, unlike a refusal."""
    with pytest.raises(kind, match="target must be a whole number of at least 1"):
        raise_fd_limit(target)
