"""The governor: limits of pools go down under pressure and come back after it."""

import asyncio
import errno
import logging
import threading
from dataclasses import replace

import pytest

from holdfast import AsyncPool, ThreadPool
from holdfast.pools._pressure import LISTENERS
from holdfast.sense.reading import Reading
from holdfast.testing import FakeClock
from holdfast.watch import _reclaiming, governor as module
from holdfast.watch.governor import Decision, Governor, Weight, decisions
from holdfast.watch.monitor import Monitor


@pytest.fixture
def time():
    """A clock that moves when it is told to."""
    with FakeClock() as clock:
        yield clock


@pytest.fixture
def memory(monkeypatch):
    """What is read of memory: a part of a thousand bytes."""
    said = {"used": 0.1}

    def bound():
        return Reading("memory", said["used"] * 1000, "bytes", 1000, "a test")

    monkeypatch.setattr(_reclaiming, "memory_bound", bound)
    monkeypatch.setattr(
        _reclaiming, "reclaim", lambda: said.setdefault("reclaims", []).append(1) or 5
    )
    return said


@pytest.fixture
def governed(time, memory):
    """A governor whose ticks the test makes, and two pools."""
    one = Governor(Monitor())
    with ThreadPool(10, name="db") as db:
        llm = AsyncPool(40, name="llm")
        one._weights["llm"] = Weight(floor=2)
        yield one, llm, db
        one.close()


def limits(llm, db):
    """What may be in flight."""
    return llm.stats().limit, db.stats().limit


def test_nothing_is_moved_while_nothing_presses(governed):
    """No decision, no log."""
    one, llm, db = governed
    one.tick()

    assert limits(llm, db) == (40, 10)
    assert one.decisions() == ()


def test_an_event_halves_every_limit_and_quiet_brings_it_back(governed, time):
    """At once, and step by step."""
    one, llm, db = governed
    one._heard("refused_thread")
    one.tick()
    assert limits(llm, db) == (20, 5)

    for _ in range(90):
        time.advance(1.0)
        one.tick()
    assert limits(llm, db) == (40, 10)
    assert (llm.stats().cap, db.stats().cap) == (None, None)
    assert [d.share for d in one.decisions()][:4] == [0.5, 0.525, 0.55, 0.575]
    assert one.share == 1.0


def test_memory_that_is_short_is_given_back_first(governed, memory):
    """Caution moves no limit."""
    one, llm, db = governed
    memory["used"] = 0.8
    one.tick()

    assert memory["reclaims"] == [1]
    assert limits(llm, db) == (40, 10)
    assert one.decisions()[0].freed_bytes == 5
    assert "given back" in one.decisions()[0].reason


def test_memory_is_given_back_once_in_ten_seconds(governed, memory, time):
    """A collection holds the interpreter."""
    one, _, _ = governed
    memory["used"] = 0.8
    for _ in range(25):
        one.tick()
        time.advance(1.0)

    assert len(memory["reclaims"]) == 3


def test_critical_memory_pauses_and_then_goes_on_at_the_floors(governed, memory, time):
    """With nothing in flight there is nothing to wait for."""
    one, llm, db = governed
    memory["used"] = 0.95
    one.tick()
    assert one.paused
    assert limits(llm, db) == (0, 0)

    time.advance(0.1)
    one.tick()
    assert not one.paused
    assert limits(llm, db) == (2, 1)


async def test_work_that_was_accepted_waits_through_a_pause_and_is_done(governed, memory, time):
    """Nothing is dropped."""
    one, llm, _ = governed
    memory["used"] = 0.95
    one.tick()
    calls = [asyncio.create_task(llm.run(asyncio.sleep, 0, n)) for n in range(100)]
    await asyncio.sleep(0)
    assert llm.stats().in_flight == 0

    memory["used"] = 0.1
    time.advance(0.1)
    one.tick()
    time.advance(2.0)
    one.tick()

    assert await asyncio.gather(*calls) == list(range(100))
    assert llm.stats().peak_in_flight <= 2


def test_a_pool_that_is_made_meanwhile_is_governed_too(governed):
    """With the next look."""
    one, _, _ = governed
    one._heard("no_descriptor")
    one.tick()
    late = AsyncPool(8)
    one.tick()

    assert late.stats().limit == 4


def test_a_pool_with_no_weight_is_left_alone(governed):
    """And one with less gives less."""
    one, llm, db = governed
    one._weights.update(db=Weight(0.0), llm=Weight(0.5))
    one._heard("no_descriptor")
    one.tick()

    assert limits(llm, db) == (30, 10)


def test_a_closed_governor_gives_every_pool_its_limit_back(governed):
    """And says so."""
    one, llm, db = governed
    one._heard("memory_error")
    one.tick()
    one.close()
    one.close()

    assert limits(llm, db) == (40, 10)
    assert one.decisions()[-1].reason == "the governor was closed"
    assert len(one.decisions()) == 2


def test_levels_of_the_monitor_count(governed, monkeypatch):
    """Those of resources; a slow loop or a full queue is no reason."""
    one, llm, db = governed
    found = {"loop lag": "critical", "pool db": "critical"}
    monkeypatch.setattr(Monitor, "levels", property(lambda _: found))
    one.tick()
    assert limits(llm, db) == (40, 10)

    found["descriptors"] = "critical"
    one.tick()
    assert limits(llm, db) == (0, 0)
    assert one.decisions()[-1].reason.startswith("descriptors critical")


def test_each_change_is_one_record_of_the_log(governed, caplog):
    """That a person can read later."""
    one, _, _ = governed
    one._heard("refused_thread")
    with caplog.at_level(logging.INFO, "holdfast.governor"):
        for _ in range(5):
            one.tick()

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "the system refused a thread: limits are cut to 0.5 of what they were (share 50 %)"
    )


def test_a_decision_is_what_json_can_hold(governed):
    """For whoever shows it."""
    one, _, _ = governed
    one._heard("refused_thread")
    one.tick()
    (decision,) = one.decisions()

    found = decision.to_dict()
    assert found.pop("limits").items() >= {"db": 5, "llm": 20}.items()  # and pools of other tests
    assert found == {
        "at": decision.at,
        "share": 0.5,
        "paused": False,
        "reason": decision.reason,
        "freed_bytes": None,
    }
    assert replace(decision) == decision
    assert isinstance(decision, Decision)


def test_a_look_that_fails_is_logged_and_the_next_one_is_made(governed, monkeypatch, caplog):
    """Nothing of it reaches the program."""
    one, llm, db = governed

    def broken():
        raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr(_reclaiming, "memory_bound", broken)
        assert one.tick() == 0.1
    assert "a look of the governor failed" in caplog.text

    one._heard("refused_thread")
    one.tick()
    assert limits(llm, db) == (20, 5)


# ---------------------------------------------------------------- events


@pytest.fixture
def heard():
    """What is told while a test runs."""
    found = []
    LISTENERS.append(found.append)
    yield found
    LISTENERS.remove(found.append)


def fail(error):
    """Raise it."""
    raise error


async def fail_later(error):
    """Raise it."""
    await asyncio.sleep(0)
    raise error


EVENTS = [
    (MemoryError(), ["memory_error"]),
    (OSError(errno.EMFILE, "Too many open files"), ["no_descriptor"]),
    (RuntimeError("can't start new thread"), ["refused_thread"]),
    (OSError(errno.ENOENT, "no such file"), []),
    (RuntimeError("another one"), []),
]


@pytest.mark.parametrize(("error", "events"), EVENTS)
async def test_a_call_that_meets_a_limit_tells_of_it(heard, error, events):
    """In pools of both kinds; the caller has his error all the same."""
    async with AsyncPool(1) as pool:
        with pytest.raises(type(error)):
            await pool.run(fail_later, error)
    assert heard == events

    async with ThreadPool(1) as pool:
        with pytest.raises(type(error)):
            await pool.run(fail, error)
    assert heard == events * 2


async def test_an_item_that_meets_a_limit_tells_of_it(heard):
    """In streams of both kinds."""
    async with AsyncPool(1) as pool:
        found = [o async for o in pool.stream(fail_later, [MemoryError()], outcomes=True)]
        assert isinstance(found[0].error, MemoryError)
    async with ThreadPool(1) as pool:
        found = [o async for o in pool.stream(fail, [MemoryError()], outcomes=True)]
        assert isinstance(found[0].error, MemoryError)

    assert heard == ["memory_error"] * 2


def test_a_running_governor_hears_and_its_end_is_heard_of_no_more(memory):
    """On the monitor's thread, by the real clock."""
    moved = threading.Event()

    class Watched(Governor):
        def _apply(self):
            found = super()._apply()
            moved.set()
            return found

    pool = AsyncPool(10, name="x")
    with Watched(interval=0.01) as one:
        LISTENERS[-1]("memory_error")
        assert moved.wait(10)
        assert pool.stats().limit == 5
        assert decisions() == one.decisions()
    assert pool.stats().limit == 10
    assert decisions() == ()
    assert module._GOVERNORS == []


@pytest.mark.parametrize("wrong", [{"weight": 1.5}, {"weight": -1}, {"floor": 0}])
def test_a_weight_that_can_not_be_meant_is_refused(wrong):
    """When it is made."""
    with pytest.raises(ValueError, match="must be"):
        Weight(**wrong)
