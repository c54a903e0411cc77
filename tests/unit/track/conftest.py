"""What the tests of this room share: things to open, and a check that nothing stays recorded or drawn."""

import asyncio
import gc
import sys
import threading

import pytest

from holdfast.pools._timer import TIMER
from holdfast.track import DESCRIPTORS
from holdfast.track._registry import REGISTRY


class Thing:
    """Something that is opened and closed."""

    def __init__(self, number):
        self.number = number
        self.closed = False
        self.works = True
        self.resets = 0
        self.users = 0

    def __repr__(self):
        return f"<Thing {self.number}>"


class Shop:
    """Opens and closes things, fails when it is told to, and knows what is open."""

    def __init__(self, *, blocking):
        self.blocking = blocking
        self.made = []
        self.fail = None  # an error to raise instead of opening
        self.close_error = None
        self.attempts = 0
        self.checks = 0
        self.peak_opening = self.opening = 0
        self.lock = threading.Lock()
        self.gate = threading.Event()  # shut it to hold openings up
        self.gate.set()

    @property
    def live(self):
        return [thing for thing in self.made if not thing.closed]

    def _open(self):
        with self.lock:
            self.attempts += 1
            if self.fail is not None:
                raise self.fail
            thing = Thing(len(self.made))
            self.made.append(thing)
        return thing

    def _enter(self):
        with self.lock:
            self.opening += 1
            self.peak_opening = max(self.peak_opening, self.opening)

    def _leave(self):
        with self.lock:
            self.opening -= 1

    def _create(self):
        self._enter()
        try:
            assert self.gate.wait(20)
            return self._open()
        finally:
            self._leave()

    async def _acreate(self):
        self._enter()
        try:
            await asyncio.sleep(0)
            while not self.gate.is_set():
                await asyncio.sleep(0.001)
            return self._open()
        finally:
            self._leave()

    def _destroy(self, thing):
        assert not thing.closed, "closed twice"
        thing.closed = True
        if self.close_error is not None:
            raise self.close_error

    async def _adestroy(self, thing):
        await asyncio.sleep(0)
        self._destroy(thing)

    def _reset(self, thing):
        thing.resets += 1
        if not thing.works:
            raise ConnectionError("it does not answer")

    async def _areset(self, thing):
        await asyncio.sleep(0)
        self._reset(thing)

    def _check(self, thing):
        self.checks += 1
        return thing.works

    async def _acheck(self, thing):
        await asyncio.sleep(0)
        return self._check(thing)

    def __getattr__(self, name):
        if name not in {"create", "destroy", "reset", "check"}:
            raise AttributeError(name)
        return getattr(self, f"_{name}" if self.blocking else f"_a{name}")


async def pass_time(fake_clock, seconds, pool):
    """Advance the clock when the pool has a look to come, and the process's timer waits for it."""
    async with asyncio.timeout(20):
        while (
            pool._watch._due is None
            or fake_clock._waiting.get(id(TIMER._waker), 0.0) <= fake_clock.now()
        ):
            await asyncio.sleep(0.001)
    fake_clock.advance(seconds)


@pytest.fixture(params=["blocking", "loop"])
def shop(request):
    """Give a shop whose functions are blocking, and one whose functions are coroutine functions."""
    return Shop(blocking=request.param == "blocking")


@pytest.fixture
def blocking_shop():
    """Give a shop whose functions are blocking."""
    return Shop(blocking=True)


@pytest.fixture
def loop_shop():
    """Give a shop whose functions are coroutine functions."""
    return Shop(blocking=False)


@pytest.fixture(autouse=True)
def nothing_recorded():
    """Fail a test that leaves a record in the registry, or descriptors drawn."""
    before, drawn = len(REGISTRY.records()), DESCRIPTORS.drawn
    yield
    if len(REGISTRY.records()) > before or DESCRIPTORS.drawn > drawn:
        gc.collect()  # what is in a cycle has to go before it is told
    left = [str(record.told()) for record in REGISTRY.records()]
    assert len(left) <= before, left
    assert DESCRIPTORS.drawn <= drawn, DESCRIPTORS.holders()
    assert DESCRIPTORS.waiting == 0


@pytest.fixture
def tiny_switches():
    """Make the interpreter change threads as often as it can, so that races happen."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
