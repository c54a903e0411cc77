"""Calls that are run once: what a retry gets, in each state of its key."""

import asyncio
import logging
import sqlite3
import threading

import pytest

from holdfast.errors import Aborted, CallTimeout, QueueFull, ResultLost
from holdfast.flow.idempotency import Idempotent, MemoryStore, SQLiteStore
from holdfast.flow.single_flight import SingleFlight


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    """Give a store of each kind."""
    made = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "calls.db")
    yield made
    made.close()


@pytest.fixture
def calls(store):
    """Give idempotent calls on each kind of store."""
    with Idempotent(store) as made:
        yield made


class Work:
    """A coroutine function that counts its calls, and returns or raises what it is told to."""

    def __init__(self, *outcomes):
        self.calls = 0
        self.outcomes = outcomes or ("value",)
        self.started = asyncio.Event()

    async def __call__(self):
        outcome = self.outcomes[min(self.calls, len(self.outcomes) - 1)]
        self.calls += 1
        self.started.set()
        if outcome == "wait":
            await asyncio.sleep(3600)
        await asyncio.sleep(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


async def test_a_retry_gets_the_recorded_result(calls):
    """The work is done once."""
    work = Work(["a", "list"])

    first = await calls.run("k", work)
    again = await calls.run("k", work)

    assert first == again == ["a", "list"]
    assert work.calls == 1
    assert calls.store.get("k").state == "done"


async def test_calls_of_one_key_at_one_time_share_the_run(calls):
    """The store is asked once."""
    work = Work()

    assert await asyncio.gather(*(calls.run("k", work) for _ in range(20))) == ["value"] * 20

    assert work.calls == 1
    assert calls.flight.stats().joiners == 19


async def test_arguments_go_to_the_function(calls):
    """Whatever their names."""

    async def echo(*args, **kwargs):
        return args, kwargs

    assert await calls.run("k", echo, 1, key=2, fn=3) == ((1,), {"key": 2, "fn": 3})


async def test_an_error_of_the_function_is_forgotten(calls):
    """Its caller has seen it, and may try again."""
    work = Work(KeyError("first"), "second")

    with pytest.raises(KeyError):
        await calls.run("k", work)
    assert calls.store.get("k") is None

    assert await calls.run("k", work) == "second"


async def test_an_error_can_be_recorded(store):
    """Then each retry raises one like it, and nothing runs."""
    work = Work(KeyError("first"), "second")
    with Idempotent(store, keep_errors=True) as calls:
        for _ in range(3):
            with pytest.raises(KeyError, match="first"):
                await calls.run("k", work)

    assert work.calls == 1


async def test_a_refusal_is_never_recorded(store):
    """It says that nothing has started."""
    work = Work(QueueFull("no place"), "second")
    with Idempotent(store, keep_errors=True) as calls:
        with pytest.raises(QueueFull):
            await calls.run("k", work)

        assert await calls.run("k", work) == "second"


async def test_after_a_timeout_of_the_work_nobody_knows(calls):
    """It may have had effects, so a retry is told so."""
    work = Work(CallTimeout("too slow", stopped=False), "second")

    with pytest.raises(CallTimeout):
        await calls.run("k", work)

    with pytest.raises(Aborted, match="began .* s ago .* no outcome"):  # noqa: RUF043 - the dots are meant as any character
        await calls.run("k", work)
    assert work.calls == 1
    calls.store.forget("k")
    assert await calls.run("k", work) == "second"


async def test_after_a_cancellation_nobody_knows(calls):
    """The work was cut short somewhere."""
    work = Work("wait", "second")
    caller = asyncio.ensure_future(calls.run("k", work))
    await work.started.wait()

    caller.cancel()
    await asyncio.wait([caller])
    while calls.flight.stats().ending:
        await asyncio.sleep(0)

    with pytest.raises(Aborted):
        await calls.run("k", work)


async def test_unfinished_work_can_be_repeated(store):
    """By those whose work is safe to repeat."""
    store.begin("k")
    work = Work()

    with Idempotent(store, unfinished="repeat") as calls:
        assert await calls.run("k", work) == "value"

    assert (store.get("k").state, store.get("k").attempt) == ("done", 2)


async def test_a_result_that_was_lost_is_told(tmp_path):
    """The first caller has it, the next ones know that the work was done."""
    lock = threading.Lock()
    work = Work(lock)

    with SQLiteStore(tmp_path / "calls.db") as store, Idempotent(store) as calls:
        assert await calls.run("k", work) is lock
        with pytest.raises(ResultLost, match="returned a lock"):
            await calls.run("k", work)

    assert work.calls == 1


async def test_a_store_that_can_not_note_the_start_stops_the_work(calls, monkeypatch):
    """Nothing has run."""
    work = Work()

    def fail(*_args, **_options):
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(type(calls.store), "begin", fail)

    with pytest.raises(sqlite3.OperationalError):
        await calls.run("k", work)
    assert work.calls == 0


async def test_a_store_that_can_not_note_the_outcome_loses_no_result(calls, monkeypatch, caplog):
    """The caller has it; the store says that the work has started, which is true."""
    work = Work()

    def fail(*_args):
        raise sqlite3.OperationalError("disk full")

    with monkeypatch.context() as broken, caplog.at_level(logging.ERROR, "holdfast.flow"):
        broken.setattr(type(calls.store), "settle", fail)
        assert await calls.run("k", work) == "value"

    assert "disk full" in caplog.text
    with pytest.raises(Aborted):
        await calls.run("k", work)


async def test_an_outcome_that_comes_too_late_for_the_store_is_logged(calls, caplog):
    """Its key was forgotten meanwhile."""

    async def work():
        calls.store.forget("k")
        return "value"

    with caplog.at_level(logging.WARNING, "holdfast.flow"):
        assert await calls.run("k", work) == "value"

    assert "too late for the store" in caplog.text


async def test_a_cancellation_before_the_start_takes_the_note_back(tmp_path):
    """The store had noted a start that then did not happen."""
    asked, answer = threading.Event(), threading.Event()

    class Slow(SQLiteStore):
        def begin(self, key, *, take_over=False):
            claim = super().begin(key, take_over=take_over)
            asked.set()
            assert answer.wait(20)
            return claim

    work = Work()
    with Slow(tmp_path / "calls.db") as store, Idempotent(store) as calls:
        caller = asyncio.ensure_future(calls.run("k", work))
        await asyncio.to_thread(asked.wait, 20)
        caller.cancel()
        await asyncio.wait([caller])
        answer.set()
        while calls.flight.stats().ending:
            await asyncio.sleep(0.001)

        assert store.get("k") is None
    assert work.calls == 0


async def test_a_store_that_blocks_blocks_no_loop(tmp_path):
    """It is asked in a thread of its own."""
    where = []

    class Watched(SQLiteStore):
        def begin(self, key, *, take_over=False):
            where.append(threading.current_thread())
            return super().begin(key, take_over=take_over)

        def settle(self, key, claim, value, error):
            where.append(threading.current_thread())
            return super().settle(key, claim, value, error)

    with Watched(tmp_path / "calls.db") as store, Idempotent(store) as calls:
        await calls.run("k", Work())

    assert len(where) == 2
    assert threading.current_thread() not in where


# ---------------------------------------------------------------- blocking code


def test_a_blocking_retry_gets_the_recorded_result(calls):
    """As in a coroutine."""
    done = []

    def work(x, *, y):
        done.append((x, y))
        return x + y

    assert calls.run_sync("k", work, 1, y=2) == calls.run_sync("k", work, 1, y=2) == 3
    assert done == [(1, 2)]


def test_a_blocking_error_is_forgotten_or_recorded(store):
    """As in a coroutine."""
    outcomes = [KeyError("first"), KeyError("second")]

    def work():
        raise outcomes.pop(0)

    with Idempotent(store) as calls, pytest.raises(KeyError, match="first"):
        calls.run_sync("k", work)
    with Idempotent(store, keep_errors=True) as calls:
        for _ in range(2):
            with pytest.raises(KeyError, match="second"):
                calls.run_sync("k", work)


def test_an_interrupt_leaves_the_key_started(calls):
    """Ctrl-C in the middle of the work."""

    def work():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calls.run_sync("k", work)

    with pytest.raises(Aborted):
        calls.run_sync("k", list)


async def test_coroutines_and_blocking_code_share_outcomes(calls):
    """One key, one outcome."""
    assert await calls.run("k", Work(1)) == 1

    assert await asyncio.to_thread(calls.run_sync, "k", list) == 1


def test_a_coroutine_function_is_refused_by_blocking_code(calls):
    """Before anything is noted."""
    with pytest.raises(TypeError, match="coroutine function"):
        calls.run_sync("k", asyncio.sleep, 0)

    assert calls.store.get("k") is None


# ---------------------------------------------------------------- keys, options, decorator


@pytest.mark.parametrize("key", [1, None, b"k", ("k",)], ids=repr)
async def test_a_key_is_a_string(calls, key):
    """Which means the same in the next process."""
    with pytest.raises(TypeError, match="must be a string"):
        await calls.run(key, Work())
    with pytest.raises(TypeError, match="must be a string"):
        calls.run_sync(key, list)


def test_bad_options_are_refused(store):
    """When the calls are made."""
    with pytest.raises(ValueError, match="unfinished"):
        Idempotent(store, unfinished="ignore")


async def test_the_flight_may_be_the_users_own(store):
    """With its bounds."""
    with Idempotent(store, flight=SingleFlight(mode="reject")) as calls:
        first = asyncio.ensure_future(calls.run("k", Work()))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await calls.run("k", Work())

        assert await first == "value"


async def test_a_wrapped_coroutine_function_is_run_once_for_each_key(calls):
    """The key is made of its arguments."""
    charged = []

    @calls.wrap(key=lambda order, **_: f"charge-{order}")
    async def charge(order, *, note=""):
        """Charge it."""
        charged.append(order)
        return f"{order} is paid"

    found = [await charge(17), await charge(17, note="again"), await charge(18)]

    assert found == ["17 is paid", "17 is paid", "18 is paid"]
    assert charged == [17, 18]
    assert charge.__doc__ == "Charge it."


def test_a_wrapped_blocking_function_is_run_once_for_each_key(calls):
    """It stays a blocking function."""
    charged = []

    def charge(order):
        charged.append(order)
        return f"{order} is paid"

    once = calls.wrap(charge, key=str)

    assert (once(17), once(17)) == ("17 is paid", "17 is paid")
    assert charged == [17]


async def test_close_ends_the_thread_and_leaves_the_store_open(tmp_path):
    """The store belongs to whoever made it."""
    with SQLiteStore(tmp_path / "calls.db") as store:
        calls = Idempotent(store)
        await calls.run("k", Work())

        calls.close()
        calls.close()

        assert store.get("k").state == "done"
