"""What the tests of the mechanisms share: hurried threads, both kinds of loop, descriptors."""

import asyncio
import gc
import os
import select
import sys

import pytest
import uvloop


@pytest.fixture
def tiny_switches():
    """Make the interpreter change threads as often as it can, so that races happen."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request):
    """Give what makes a loop, for each kind of loop that holdfast promises to work on."""
    return request.param


@pytest.fixture
def runner(new_loop):
    """Give an ``asyncio.Runner`` for each kind of loop."""
    with asyncio.Runner(loop_factory=new_loop) as made:
        yield made


@pytest.fixture
def no_eventfd(monkeypatch):
    """Make this look like a system without eventfd, such as macOS."""
    monkeypatch.delattr(os, "eventfd", raising=False)


@pytest.fixture
def no_poll(monkeypatch):
    """Make this look like a system on which a pipe can't be waited for."""
    monkeypatch.delattr(select, "poll")


def _count_descriptors(kind):
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    gc.collect()  # what a failed test has left must not go while this one counts

    def count():
        found = 0
        for fd in os.listdir("/proc/self/fd"):
            try:
                found += kind in os.readlink(f"/proc/self/fd/{fd}")
            except FileNotFoundError:  # the one that listdir itself had open
                continue
        return found

    return count


@pytest.fixture
def count_eventfds():
    """Give a function that counts the eventfds of this process."""
    return _count_descriptors("eventfd")


@pytest.fixture
def count_pipes():
    """Give a function that counts the pipes of this process, which have two ends."""
    count = _count_descriptors("pipe:")
    return lambda: count() // 2


@pytest.fixture(scope="session", autouse=True)
def uvloop_is_warm():
    """Let libuv open what it keeps for the life of the process, before anybody counts."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as made:
        made.run(asyncio.sleep(0))
