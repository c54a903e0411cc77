"""A wave of calls on both kinds of pool, from several event loops and threads, with cancellations.

Purpose: bring each hand-over of a pool together with a cancellation, a deadline, a resize or a close,
at every moment, many times; and then to ask of every single call what became of it.

A wave is made of so many calls. While a hatch holds all permits they line up, and some are cancelled
in the line. Then the hatch opens, and others are cancelled when a permit is on its way to them, while
they run, as they end, or never. Each wave has new pools, of random width and bounds; in some waves they
are closed in the middle. After each wave

- nobody holds a permit, nobody waits, no thread, task or descriptor is left;
- each call was told exactly one outcome, and only a call that somebody cancelled was told so;
- a call with a value, an error or a timeout ran once; one that was refused or taken back never ran;
- submitted == completed + failed + withdrawn, and completed + failed is the number that ran.
"""

import asyncio
import faulthandler
import itertools
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from holdfast.errors import CallTimeout, Rejected
from holdfast.pools import AsyncPool, PoolStats, ThreadPool
from holdfast.testing import leaks

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ("KINDS", "MOMENTS", "OUTCOMES", "Wave")

KINDS: Final = ("threads", "coroutines")
MOMENTS: Final = ("queued", "granted", "running", "ending", None, None, None)
OUTCOMES: Final = ("value", "raised", "timeout", "refused", "cancelled")
WIDEST: Final = 16
STALL: Final = 30
"""Seconds without a single outcome after which a wave counts as hung."""


class Mine(Exception):
    """What a call raises by itself."""


class Call:
    """One call: what it does, when it is cancelled, and by which means."""

    __slots__ = (
        *(
            "asked",
            "cancel",
            "fails",
            "index",
            "kind",
            "moment",
            "passes",
            "place",
            "queue_timeout",
        ),
        *("rests", "submitted", "taken_back", "timeout"),
    )

    def __init__(self, index: int, rng: random.Random) -> None:
        self.index = index
        self.kind = rng.choice(KINDS)
        self.moment = rng.choice(MOMENTS)
        self.submitted = rng.random() < 0.3  # in a loop; blocking code has no other way
        self.timeout = rng.choice((0.0005, 0.002, 5.0)) if rng.random() < 0.2 else None
        self.queue_timeout = rng.uniform(0.0, 3.0) if rng.random() < 0.2 else None
        self.passes = rng.randrange(3)
        hasty = self.timeout is not None and self.timeout < 1.0
        self.rests = rng.uniform(0.0, 0.004) if rng.random() < (0.4 if hasty else 0.01) else 0.0
        self.fails = rng.random() < 0.1
        self.place = -1  # when it called its pool, among all calls of the wave
        self.cancel: Callable[[], object] | None = None
        self.asked = False  # somebody has cancelled it
        self.taken_back = False  # and was told that it will never run

    def strike(self) -> None:
        """Cancel it, whatever it is doing."""
        if self.cancel is None:
            return
        self.asked = True
        try:
            if self.cancel() is True and self.kind == "threads":
                self.taken_back = True
        except RuntimeError:  # its loop has closed, so it is settled
            pass


class Wave:
    """So many calls, from their making to the judgement over them."""

    def __init__(self, seed: int, waiters: int, *, loops: int = 4, threads: int = 2) -> None:
        self._rng = rng = random.Random(seed)
        self._closing = rng.random() < 0.2
        overflow = rng.choice(("wait", "wait", "wait", "wait", "reject", "drop_oldest"))
        bound = 2 * waiters if rng.random() < 0.7 else rng.randrange(waiters // 2)
        abandoned = rng.randrange(8)
        self._most = {"threads": WIDEST + abandoned, "coroutines": WIDEST}
        self.threads = ThreadPool(
            rng.randint(1, WIDEST),
            name="threads",
            max_queue=bound,
            overflow=overflow,
            idle_timeout=rng.choice((0.001, 1.0)),
            max_abandoned=abandoned,
        )
        self.coroutines = AsyncPool(
            rng.randint(1, WIDEST), name="coroutines", max_queue=bound, overflow=overflow
        )
        self.calls = [Call(index, rng) for index in range(waiters)]
        self.ran: list[int] = []
        self.told: list[tuple[int, str]] = []
        self.faults: list[str] = []
        self.standing = 0  # calls that waited when the hatch was opened
        self._held: list[str] = []  # by which pool's permits the hatch was held
        self._callers, self._loops = loops + threads, loops
        self._places = itertools.count()
        self._next = {
            kind: deque[Call]() for kind in KINDS
        }  # to be cancelled when it is their turn
        self._lined_up = threading.Semaphore(0)
        self._hatch = threading.Event()
        self._over = threading.Event()

    # ------------------------------------------------------------ what the calls do

    def _work(self, call: Call) -> int:
        self._begin(call)
        if call.rests:
            time.sleep(call.rests)
        return self._end(call)

    async def _work_async(self, call: Call) -> int:
        self._begin(call)
        for _ in range(call.passes):
            await asyncio.sleep(0)
        if call.rests:
            await asyncio.sleep(call.rests)
        return self._end(call)

    def _begin(self, call: Call) -> None:
        self.ran.append(call.index)
        # Those who come next have their permit by now, or it is on its way, or will be in a moment.
        line = self._next[call.kind]
        try:
            while line[0].place <= call.place + 2:
                line.popleft().strike()
        except IndexError:  # nobody there, or another call was faster
            pass
        if call.moment == "running":
            call.strike()

    def _end(self, call: Call) -> int:
        if call.moment == "ending":
            call.strike()
        if call.fails:
            raise Mine
        return call.index

    def _hold(self) -> None:
        self._held.append("threads")
        self._hatch.wait()

    async def _hold_async(self) -> None:
        self._held.append("coroutines")
        while not self._hatch.is_set():
            await asyncio.sleep(0.005)

    # ------------------------------------------------------------ who calls

    async def _in_a_loop(self, calls: list[Call], rng: random.Random) -> None:
        loop = asyncio.get_running_loop()
        holders = range(WIDEST // self._loops)
        tasks = [loop.create_task(self.coroutines.run(self._hold_async)) for _ in holders]
        for call in calls:
            task = loop.create_task(self._ask(call))
            call.cancel = partial(_cancel_task, loop, task)
            task.add_done_callback(partial(self._settled, call))
            tasks.append(task)
            if rng.random() < 0.02:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        queued = [call for call in calls if call.moment == "queued"]
        rng.shuffle(queued)
        for n, call in enumerate(queued):
            if n == len(queued) // 2:  # the others are cancelled while the line moves
                self._lined_up.release()
            call.strike()
            if rng.random() < 0.1:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        stray = asyncio.all_tasks() - {asyncio.current_task()}
        self.faults += [f"a stray task: {task!r}" for task in stray]

    def _pool_for(self, call: Call) -> tuple[Any, Any]:
        """The pool as this call wants it, and what it runs there."""
        pool: Any = getattr(self, call.kind)
        if call.timeout is not None or call.queue_timeout is not None:
            pool = pool.options(timeout=call.timeout, queue_timeout=call.queue_timeout)
        call.place = next(self._places)
        if call.moment == "granted":
            self._next[call.kind].append(call)
        return pool, self._work if call.kind == "threads" else self._work_async

    async def _ask(self, call: Call) -> int:
        pool, work = self._pool_for(call)
        value: int = await (pool.submit if call.submitted else pool.run)(work, call)
        return value

    def _in_a_thread(self, calls: list[Call], rng: random.Random) -> None:
        futures: list[Future[int]] = []
        for n, call in enumerate(calls):
            try:
                pool, work = self._pool_for(call)
                future = pool.submit(work, call)
            except Rejected:
                self.told.append((call.index, "refused"))
                continue
            futures.append(future)
            call.cancel = future.cancel
            future.add_done_callback(partial(self._settled, call))
            earlier = calls[rng.randint(max(0, n - 50), n)]
            if earlier.moment == "queued":
                earlier.strike()
        for future in futures:
            self._wait_for(future)

    def _wait_for(self, future: "Future[int]") -> None:
        """Wait while there is progress anywhere: on a slow machine the calls before it take their time."""
        seen = -1
        while not future.done():
            error: BaseException | None = None
            try:
                future.exception(STALL)
            except BaseException as one:  # noqa: BLE001 - cancelled, as its callback was told; or late
                error = one
            progress = len(self.told) + sum(stats.submitted for stats in self.stats())
            if not future.done() and progress == seen:
                self.faults.append(f"a future is not settled: {error!r}")
                return
            seen = progress

    def _settled(self, call: Call, future: "asyncio.Future[int] | Future[int]") -> None:
        if future.cancelled():
            outcome = "cancelled"
        elif (error := future.exception()) is not None:
            outcome = _name(error)
        else:
            outcome = "value" if future.result() == call.index else "the value of another"
        self.told.append((call.index, outcome))

    def _weather(self, rng: random.Random) -> None:
        """Open the hatch; then resize, look, and perhaps close, until all callers have gone."""
        for _ in range(self._loops):
            self._lined_up.acquire(timeout=STALL)
        self.standing = sum(stats.starting + stats.queued + stats.blocked for stats in self.stats())
        self._hatch.set()
        while not self._over.wait(rng.uniform(0.0, 0.002)):
            for pool in (self.threads, self.coroutines):
                if rng.random() < 0.3:
                    pool.resize(rng.randint(1, WIDEST))
                self._look_at(pool.stats())
            if self._closing and len(self.told) > len(self.calls) // 2:
                self._closing = False
                self.threads.close(0.0)
                self.coroutines.close(0.0)

    # ------------------------------------------------------------ from beginning to end

    def run(self, tick: "Callable[[Wave], None] | None" = None) -> None:
        """Let it blow, and judge; what was wrong is in ``faults``.

        Args:
            tick: Called about once a second.

        Raises:
            AssertionError: It hung, or something is left behind.
        """
        before = leaks.holdings()
        for _ in range(self.threads.stats().limit):
            self.threads.submit(self._hold)
        weather = self._start(self._weather)
        callers = [
            self._start(
                self._run_loop if n < self._loops else self._in_a_thread,
                self.calls[n :: self._callers],
            )
            for n in range(self._callers)
        ]
        self._join(callers, tick or (lambda _: None))
        self._over.set()
        weather.join()
        for pool in (self.threads, self.coroutines):
            if not pool.drain(STALL) and pool.stats().in_flight > pool.stats().abandoned:
                self.faults.append(f"permits are lost: {pool.stats()}")
        leaks.assert_no_leaks(before, patience=20.0)  # which waits for abandoned calls, too
        self._judge()

    def _run_loop(self, calls: list[Call], rng: random.Random) -> None:
        asyncio.run(self._in_a_loop(calls, rng))

    def _start(self, work: Callable[..., object], *args: object) -> threading.Thread:
        rng = random.Random(self._rng.random())

        def guarded() -> None:
            try:
                work(*args, rng)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is a fault
                self.faults.append(f"{work.__name__} ended with {error!r}")
                self._hatch.set()

        thread = threading.Thread(target=guarded, name=work.__name__, daemon=True)
        thread.start()
        return thread

    def _join(self, callers: list[threading.Thread], tick: "Callable[[Wave], None]") -> None:
        still, told = 0, -1
        while alive := [caller for caller in callers if caller.is_alive()]:
            alive[0].join(1.0)
            tick(self)
            still = still + 1 if told == len(self.told) else 0
            told = len(self.told)
            if still > STALL:
                faulthandler.dump_traceback(all_threads=True)
                message = f"hung: {self.stats()}"
                raise AssertionError(message)

    # ------------------------------------------------------------ the judgement

    def stats(self) -> tuple[PoolStats, PoolStats]:
        """Return one reading of either pool."""
        return self.threads.stats(), self.coroutines.stats()

    def _judge(self) -> None:
        ran, times_told = Counter(self.ran), Counter(index for index, _ in self.told)
        outcome = dict(self.told)
        for call in self.calls:
            if times_told[call.index] == 1:
                self._judge_call(call, outcome[call.index], ran[call.index])
            else:
                self.faults.append(f"call {call.index} was told {times_told[call.index]} outcomes")
        of_kind = Counter(self.calls[index].kind for index in self.ran) + Counter(self._held)
        for stats in self.stats():
            self._look_at(stats)
            if any((stats.in_flight, stats.queued, stats.blocked, stats.abandoned, stats.threads)):
                self.faults.append(f"something is left: {stats}")
            if of_kind[stats.name] != stats.completed + stats.failed:
                self.faults.append(f"{of_kind[stats.name]} ran, but it counts otherwise: {stats}")

    def _judge_call(self, call: Call, outcome: str, ran: int) -> None:
        if outcome not in OUTCOMES:
            self.faults.append(f"call {call.index} ended with {outcome}")
        allowed = {"refused": (0,), "cancelled": (0, 1)}.get(outcome, (1,))
        if ran not in allowed or (call.taken_back and ran):
            self.faults.append(f"call {call.index} ({call.kind}, {outcome}) ran {ran} times")
        if outcome == "cancelled" and not call.asked:
            self.faults.append(f"call {call.index} is cancelled, but nobody cancelled it")

    def _look_at(self, stats: PoolStats) -> None:
        here = stats.in_flight + stats.starting + stats.queued + stats.blocked
        if stats.submitted != stats.completed + stats.failed + stats.withdrawn + here:
            self.faults.append(f"this does not add up: {stats}")
        if stats.peak_in_flight > self._most[stats.name]:
            self.faults.append(f"too many were in flight: {stats}")


def _name(error: BaseException) -> str:
    if isinstance(error, Mine):
        return "raised"
    if isinstance(error, CallTimeout):
        return "timeout"
    return "refused" if isinstance(error, Rejected) else repr(error)


def _cancel_task(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[int]") -> None:
    if asyncio._get_running_loop() is loop:
        task.cancel()
    else:
        loop.call_soon_threadsafe(task.cancel)
