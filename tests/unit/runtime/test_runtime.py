"""A runtime opens what a program runs on in order, and ends it in order."""

import asyncio
import logging
import os
import signal
import threading

import pytest

import holdfast
from holdfast import AsyncPool, Leaked, PoolClosed, QueueFull, Runtime, ThreadPool, current_budget
from holdfast.config import (
    BudgetConfig,
    Config,
    GovernorConfig,
    MonitorConfig,
    PoolConfig,
    PoolsConfig,
)
from holdfast.pools._retries import RETRIES
from holdfast.runtime._estate import Estate
from holdfast.watch.recommend import recommend

QUIET = Config(fd_target=0, grace=5.0)


class Noted:
    """Something that notes when it is closed."""

    def __init__(self, name, notes):
        self.name, self.notes = name, notes

    def close(self):
        self.notes.append(self.name)


def test_default_pools_are_as_large_as_is_recommended():
    """Made when they are first asked for, and then the same ones."""
    with Runtime(QUIET) as rt:
        assert rt.llm.stats().limit == recommend("llm").size
        assert rt.db.stats().limit == recommend("db").size
        assert rt.io.stats().limit == recommend("files").size
        assert rt.cpu.stats().limit == recommend("cpu").size
        assert rt.db is rt.db


def test_settings_say_otherwise():
    """Sizes, bounds, and rates that are no whole numbers."""
    pools = PoolsConfig(
        llm=PoolConfig(rate=0.5, response_s=10.0, max_queue=0), db=PoolConfig(size=3)
    )

    with Runtime(Config(fd_target=0, pools=pools)) as rt:
        assert rt.llm.stats().limit == 5
        assert rt.db.stats().limit == 3


def test_settings_are_read_when_none_are_given(monkeypatch):
    """From the environment, for one."""
    monkeypatch.setenv("HOLDFAST_POOLS_IO_SIZE", "7")

    with Runtime() as rt:
        assert rt.io.stats().limit == 7


def test_budget_and_retries_are_as_before_when_it_has_ended():
    """What it set was its own."""
    budget, retries = current_budget(), RETRIES.budget
    config = Config(fd_target=0, budget=BudgetConfig(threads=5))

    with Runtime(config) as rt:
        assert current_budget().threads == rt.budget.threads == 5
        assert rt.db.stats().limit == 5

    assert current_budget() == budget
    assert RETRIES.budget == retries


def test_there_is_one_runtime_in_a_process():
    """There is one budget; the error names the line that has it."""
    with Runtime(QUIET), pytest.raises(RuntimeError, match=r"test_runtime\.py"), Runtime(QUIET):
        pass
    with Runtime(QUIET):
        pass


def test_a_runtime_is_used_once():
    """Its pools have ended."""
    rt = Runtime(QUIET)
    with rt:
        pass

    with pytest.raises(RuntimeError, match="closed already"), rt:
        pass
    with pytest.raises(PoolClosed, match="closed"):
        _ = rt.db


def test_before_the_block_there_is_nothing():
    """And it says how to begin."""
    with pytest.raises(RuntimeError, match="not open yet"):
        _ = Runtime(QUIET).db


def test_pools_end_before_what_they_use_and_callers_before_what_they_call():
    """Whatever was opened first."""
    notes = []
    estate = Estate()
    things = [Noted("first", notes), ThreadPool(1), Noted("last", notes), AsyncPool(1)]
    for thing in things:
        estate.own(thing)

    assert estate.pools() == [things[3], things[1]]
    assert estate.end(orderly=True) == ([], None)
    assert notes == ["last", "first"]
    assert things[1].closed


async def test_a_call_that_was_accepted_still_finds_the_pool_it_calls():
    """Although the block has ended, and that pool was made before."""

    async def agent(rt):
        await asyncio.sleep(0)
        return await rt.db.run(pow, 2, 5)

    async with Runtime(QUIET) as rt:
        _ = rt.db
        call = asyncio.ensure_future(rt.llm.run(agent, rt))
        await asyncio.sleep(0)

    assert await call == 32


def test_after_an_error_what_waits_is_refused_and_everything_closes():
    """The error passes through."""
    notes = []
    began, release = threading.Event(), threading.Event()

    def run():
        began.set()
        release.wait(20)

    with pytest.raises(ZeroDivisionError), Runtime(QUIET) as rt:
        rt.own(Noted("mine", notes))
        pool = rt.own(ThreadPool(1))
        first = pool.submit(run)
        second = pool.submit(run)
        began.wait(20)
        threading.Thread(target=lambda: (second.exception(20), release.set())).start()
        _ = 1 / 0

    assert first.result(20) is None
    assert isinstance(second.exception(20), PoolClosed)
    assert notes == ["mine"]


def test_what_still_runs_is_reported():
    """With the call's line, at the end of the block."""
    release = threading.Event()
    pool = None

    with (
        pytest.raises(Leaked, match="still run") as told,
        Runtime(Config(fd_target=0, grace=0.0)) as rt,
    ):
        pool = rt.own(ThreadPool(1, name="stuck"))
        call = pool.submit(release.wait, 20)
        while not pool.stats().in_flight:
            pass

    assert "'stuck'" in told.value.held[0]
    release.set()
    call.result(20)
    for thread in pool._threads:
        thread.join(20)


def test_what_refuses_to_close_keeps_nothing_else_open():
    """And is reported."""
    notes = []

    class Stubborn:
        def close(self):
            raise OSError("no")

    with pytest.raises(Leaked, match="no") as told, Runtime(QUIET) as rt:
        rt.own(Noted("mine", notes))
        rt.own(Stubborn())

    assert notes == ["mine"]
    assert len(told.value.held) == 1


def test_what_can_not_be_closed_can_not_be_owned():
    """It says so at once."""
    with Runtime(QUIET) as rt, pytest.raises(TypeError, match="neither close nor aclose"):
        rt.own(3)


def test_what_was_opened_meanwhile_and_belongs_to_nobody_is_logged(caplog, tmp_path):
    """With its line."""
    with Runtime(QUIET):
        file = holdfast.track((tmp_path / "x").open("w"), name="notes")

    assert "notes" in caplog.text
    assert "test_runtime.py" in caplog.text
    file.close()


def test_a_beginning_that_fails_is_undone(monkeypatch):
    """The next one can begin."""
    budget = current_budget()

    with (
        pytest.raises(ValueError, match="name of a share"),
        Runtime(Config(fd_target=0, share="a/b")),
    ):
        pass

    assert current_budget() == budget
    with Runtime(QUIET):
        pass


async def test_a_cancellation_ends_the_patience_and_nothing_else():
    """What waits is refused, what is open is closed."""
    notes = []
    entered = asyncio.Event()

    async def program():
        async with Runtime(Config(fd_target=0, grace=60.0)) as rt:
            rt.own(Noted("mine", notes))
            calls = [asyncio.ensure_future(rt.llm.run(asyncio.sleep, 60)) for _ in range(2)]
            await asyncio.sleep(0)
            entered.set()
        return calls

    task = asyncio.ensure_future(program())
    await entered.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert notes == ["mine"]
    for call in asyncio.all_tasks() - {asyncio.current_task()}:
        call.cancel()
    await asyncio.sleep(0.01)


async def test_programs_databases_and_monitor_come_with_it(tmp_path):
    """And go with it."""
    async with Runtime(QUIET) as rt:
        assert (await rt.subprocess(["echo", "hi"], timeout=20)).stdout == b"hi\n"
        db = rt.sqlite(tmp_path / "s.db", schema="CREATE TABLE t (x)")
        await db.execute("INSERT INTO t VALUES (1)")
        assert await db.fetch_value("SELECT x FROM t") == 1
        assert rt.monitor.running
        assert rt.snapshot().monitor is not None
        assert rt.governor.share == 1.0
        assert not rt.ending

    assert rt.ending
    assert not rt.monitor.running
    with pytest.raises(PoolClosed):
        await db.fetch_value("SELECT 1")


def test_monitor_and_governor_can_be_turned_off():
    """Then nothing watches."""
    config = Config(
        fd_target=0, monitor=MonitorConfig(enabled=False), governor=GovernorConfig(enabled=False)
    )

    with Runtime(config) as rt:
        assert not rt.monitor.running
        assert rt.governor is None


def test_sigterm_is_taken_over_in_the_main_thread_and_put_back():
    """And nowhere else."""
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    with Runtime(QUIET):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before

    def elsewhere():
        with Runtime(QUIET):
            seen.append(signal.getsignal(signal.SIGTERM) == before)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(20)
    assert seen == [True]


def test_the_decisions_of_a_governor_are_in_the_log_and_in_the_snapshot(caplog):
    """The record of a degradation, as a person reads it and as a program does."""
    caplog.set_level(logging.INFO, "holdfast.governor")

    def short():
        raise MemoryError

    with Runtime(QUIET) as rt:
        with pytest.raises(MemoryError):
            rt.io.submit(short).result()
        while not rt.governor.decisions():
            rt.governor.tick()
        found = rt.snapshot()

    said = found.to_dict()["decisions"][0]
    assert said["share"] == 0.5
    assert "an allocation failed" in said["reason"]
    assert said["limits"]["io"] == 2
    assert "an allocation failed" in caplog.text
    assert "governor: an allocation failed" in str(found)


def test_a_snapshot_waits_for_no_look_of_the_governor():
    """Each would wait for the other."""
    with Runtime(QUIET) as rt, rt.governor._lock:
        thread = threading.Thread(target=rt.snapshot, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()


def test_a_child_after_a_fork_has_none_and_may_open_one():
    """All of it is the parent's."""
    with Runtime(QUIET) as rt:
        _ = rt.db
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            code = 1
            try:
                try:
                    _ = rt.db
                except PoolClosed:
                    with Runtime(QUIET) as own:
                        code = 0 if own.io.submit(pow, 2, 2).result(10) == 4 else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert rt.db.submit(pow, 2, 2).result(10) == 4


def test_a_full_default_pool_refuses_as_it_is_set():
    """Its bounds are the settings'."""
    config = Config(fd_target=0, pools=PoolsConfig(io=PoolConfig(size=1, max_queue=0)))
    release = threading.Event()

    with Runtime(config) as rt:
        call = rt.io.submit(release.wait, 20)
        with pytest.raises(QueueFull):
            asyncio.run(_submit(rt))
        release.set()
        call.result(20)


async def _submit(rt):
    rt.io.submit(pow, 2, 2)
