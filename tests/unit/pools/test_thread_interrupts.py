"""Ctrl-C at every single step of a submission: no call, no worker and no permit is lost with it.

CPython looks for signals when a function begins, after a call, and when a loop goes round. Here each of
these moments is visited, one by one, in everything that ``submit`` and ``run`` do on their caller's thread.
"""

import asyncio
import dis
import sys
import threading
from pathlib import Path

import pytest

import holdfast
from holdfast import ThreadPool

PACKAGE = str(Path(holdfast.__file__).parent)
LOOKS = ("CALL", "RESUME", "JUMP_BACKWARD")
"""The instructions after which the interpreter looks for signals."""


class Interrupting:
    """Raises ``KeyboardInterrupt`` in this thread at the ``moment``-th of these moments."""

    def __init__(self, moment):
        self.left = moment
        self.where = ""
        self._names = {}
        self._before = {}

    def __enter__(self):
        self._trace = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # from CPython 3.12 on, before tracing begins
        sys.settrace(self._call)
        return self

    def __exit__(self, *_exc):
        sys.settrace(self._trace)

    def _call(self, frame, event, arg):
        del arg
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace = self._step
        frame.f_trace_opcodes = True
        return self._step

    def _step(self, frame, event, arg):
        del arg
        if event != "opcode":
            return self._step
        code = frame.f_code
        if code not in self._names:
            self._names[code] = {one.offset: one.opname for one in dis.get_instructions(code)}
        before = self._before.get(id(frame), "")
        self._before[id(frame)] = self._names[code].get(frame.f_lasti, "")
        if before.startswith(LOOKS):
            self.left -= 1
            if self.left == 0:
                self.where = f"{code.co_qualname}:{frame.f_lineno}"
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._step


def _until(condition):
    for _ in range(20_000):
        if condition():
            return
        threading.Event().wait(0.001)
    pytest.fail("it did not come to that in 20 s")


def _is_settled(pool, settled, where):
    """Nothing is lost: the figures add up, and a call finds a worker."""
    for future in settled:
        future.exception(20)
    assert pool.submit(int).result(20) == 0, where
    _until(lambda: pool.stats().in_flight == 0)
    stats = pool.stats()
    assert stats.queued == stats.blocked == stats.starting == 0, where
    assert stats.submitted == stats.completed + stats.failed + stats.withdrawn, (where, stats)
    assert stats.threads <= stats.limit, (where, stats)


def _idle(pool):
    """Wait until a worker is idle, so that each round begins alike."""
    crew = pool._core.crew
    _until(lambda: crew.idle.newest() is not None and crew.searcher is None)


def _no_worker(pool):
    """Let all workers go, so that the submission starts a thread."""
    crew = pool._core.crew

    def all_gone():
        while crew.lend():
            pass
        return not crew.workers()

    _until(all_gone)


@pytest.mark.parametrize("before", [_idle, _no_worker], ids=["idle worker", "no worker"])
@pytest.mark.parametrize("count", [1, 3], ids=["one call", "three calls"])
def test_an_interrupt_at_any_step_of_submit_loses_nothing(before, count):
    """Whatever was accepted ends, the next call runs, and the pool closes."""
    visited = []
    with ThreadPool(2) as pool:
        pool.submit(int).result()
        for moment in range(1, 2_000):
            before(pool)
            futures = []
            interrupting = Interrupting(moment)
            try:
                with interrupting:
                    for _ in range(count):
                        futures.append(pool.submit(int))
            except KeyboardInterrupt:
                visited.append(interrupting.where)
            _is_settled(pool, futures, interrupting.where)
            if not interrupting.where:
                break
        else:
            pytest.fail("a submission has no 2,000 steps")
        assert pool.close(20)
    assert len(visited) > 10 * count


def test_an_interrupted_submission_that_waits_in_line_is_taken_back():
    """Its caller has no future of it; and one that raised on submission never runs later."""
    visited = []
    with ThreadPool(1) as pool:
        for moment in range(1, 2_000):
            gate, ran = threading.Event(), []
            busy = pool.submit(gate.wait)
            _until(lambda: pool.stats().in_flight == 1)
            futures = []
            interrupting = Interrupting(moment)
            try:
                with interrupting:
                    futures.append(pool.submit(ran.append, moment))
            except KeyboardInterrupt:
                visited.append(interrupting.where)
            gate.set()
            _is_settled(pool, [busy, *futures], interrupting.where)
            # The last steps come after the call has been accepted for good: of a frame that returns.
            assert len(ran) == len(futures) or interrupting.where.startswith("ThreadCalls.submit")
            if not interrupting.where:
                break
        assert pool.close(20)
    assert len(visited) > 7


def test_an_interrupt_at_any_step_of_waiting_for_a_result_loses_nothing():
    """The call goes on, and its result can be asked for again."""
    visited = []
    with ThreadPool(1) as pool:
        for moment in range(1, 2_000):
            gate = threading.Event()
            future = pool.submit(gate.wait)
            interrupting = Interrupting(moment)
            opens = threading.Timer(0.005, gate.set)
            opens.start()
            try:
                with interrupting:
                    future.result(20)
            except KeyboardInterrupt:
                visited.append(interrupting.where)
            assert future.result(20) is True, interrupting.where
            opens.join()
            _is_settled(pool, [future], interrupting.where)
            if not interrupting.where:
                break
        assert pool.close(20)
    assert visited


@pytest.mark.parametrize("count", [1, 3], ids=["one call", "three calls"])
def test_an_interrupt_at_any_step_of_run_loses_nothing(count):
    """The loop is stopped by it, as by any interrupt, and cancels what runs; the pool goes on."""
    visited = []

    tasks = []

    async def several(pool, interrupting):
        await pool.run(int)
        _idle(pool)
        tasks.append(asyncio.current_task())
        with interrupting:
            tasks.extend(asyncio.ensure_future(pool.run(int)) for _ in range(count))
            await asyncio.gather(*tasks[1:])

    with ThreadPool(2) as pool:
        for moment in range(1, 2_000):
            interrupting = Interrupting(moment)
            try:
                asyncio.run(several(pool, interrupting))
            except KeyboardInterrupt:
                visited.append(interrupting.where)
            finally:
                sys.settrace(None)
            while tasks:
                task = tasks.pop()
                assert task.done(), interrupting.where
                assert task.cancelled() or task.exception() or task.result() in (0, None)
            _is_settled(pool, [], interrupting.where)
            if not interrupting.where:
                break
        assert pool.close(20)
    assert len(visited) > 10 * count
