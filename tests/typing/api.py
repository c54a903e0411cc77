"""Never run: mypy and pyright, both strict, have to agree with every line of it.

Where a line must not type-check, an ignore says so; the checkers report an ignore without a cause.
"""

import functools
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, assert_type

import aiohttp
import anthropic
import httpx
import httpx2
import openai

import holdfast
from holdfast import (
    AsyncPool,
    CallFuture,
    Outcome,
    PoolStats,
    ProcessPool,
    Stream,
    StreamStats,
    ThreadPool,
)
from holdfast.flow.idempotency import Idempotent, MemoryStore
from holdfast.sense import Reading
from holdfast.track import ResourceStats, Scope
from holdfast.track.sqlite import SQLite, Written
from holdfast.watch import Living, Snapshot, Verdict
from holdfast.watch.audit import Audit
from holdfast.watch.explain import Explanation
from holdfast.watch.finding import Finding

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future


async def answer(question: str, *, hot: bool = False) -> int:
    """A coroutine function."""
    return len(question) + hot


def parse(path: str) -> bytes:
    """A blocking function."""
    return path.encode()


async def questions() -> AsyncIterator[str]:
    """An asynchronous input."""
    yield "why?"


class Tool:
    """Something with methods, one of each kind, that can also be called."""

    async def ask(self, question: str) -> int:
        """A coroutine method."""
        return len(question)

    def look(self, path: str) -> bytes:
        """A blocking method."""
        return path.encode()

    async def __call__(self, question: str) -> float:
        """An object that is called like a coroutine function."""
        return float(len(question))


# ---------------------------------------------------------------- processes


async def in_processes(pool: ProcessPool) -> None:
    """What a process pool gives."""
    assert_type(await pool.run(parse, "a"), bytes)
    future = pool.submit(parse, "a")
    assert_type(await future, bytes)
    assert_type(pool.submit(parse, "a").result(), bytes)
    assert_type(pool.stream(parse, ["a"]), Stream[bytes])
    assert_type(pool.stream(parse, ["a"], outcomes=True), Stream[Outcome[bytes]])
    assert_type(await pool.gather(parse, ["a"]), list[bytes])
    assert_type(await pool.options(timeout=1, idempotent=True).run(parse, "a"), bytes)
    assert_type(pool.wrap_sync(parse)("a"), bytes)
    assert_type(pool.stats(), PoolStats)
    executor: Executor = pool
    del executor


# ---------------------------------------------------------------- one-liners


def one_liners_in_blocking_code(flag: bool) -> None:
    """What ``for`` gives."""
    assert_type(holdfast.stream(parse, ["a"]), Stream[bytes])
    assert_type(holdfast.stream(parse, ["a"], outcomes=False), Stream[bytes])
    assert_type(holdfast.stream(parse, ["a"], outcomes=True), Stream[Outcome[bytes]])
    assert_type(holdfast.stream(answer, ["a"]), Stream[int])
    assert_type(holdfast.stream(answer, ["a"], outcomes=True), Stream[Outcome[int]])
    assert_type(holdfast.stream(answer, questions()), Stream[int])
    assert_type(holdfast.stream(Tool().ask, ["a"]), Stream[int])
    assert_type(holdfast.stream(Tool().look, ["a"]), Stream[bytes])
    assert_type(holdfast.stream(Tool(), ["a"]), Stream[float])
    assert_type(holdfast.stream(functools.partial(answer, hot=True), ["a"]), Stream[int])
    assert_type(holdfast.stream(str.upper, ["a"]), Stream[str])
    for page in holdfast.stream(parse, iter(["a"]), limit=8, ordered=False, buffer=0):
        assert_type(page, bytes)
    for outcome in holdfast.stream(parse, ("a",), outcomes=True):
        assert_type(outcome, Outcome[bytes])
    either = holdfast.stream(parse, ["a"], outcomes=flag)  # a flag that is known only at run time
    assert_type(either, Stream[Any])

    holdfast.stream(parse, [1])  # type: ignore[arg-type]
    holdfast.stream(answer, [b"bytes"])  # type: ignore[arg-type]
    holdfast.stream(answer, 5)  # type: ignore[call-overload]
    holdfast.stream(parse, ["a"], limit="8")  # type: ignore[call-overload]


async def one_liners_in_a_coroutine(flag: bool) -> None:
    """What ``async for`` and ``gather`` give."""
    retry = holdfast.Retry(3, on=(OSError,), wait=0.1)
    rate = holdfast.Rate(60, per=60, burst=1)
    async for reply in holdfast.stream(
        answer, questions(), limit=50, timeout=5, retry=retry, rate=rate, name="llm"
    ):
        assert_type(reply, int)
    async for outcome in holdfast.stream(answer, questions(), ordered=False, outcomes=True):
        assert_type(outcome, Outcome[int])
    assert_type(await holdfast.gather(answer, ["a"], limit=5), list[int])
    assert_type(await holdfast.gather(parse, ["a"]), list[bytes])
    assert_type(await holdfast.gather(answer, questions(), outcomes=True), list[Outcome[int]])
    assert_type(await holdfast.gather(parse, ["a"], outcomes=True), list[Outcome[bytes]])
    assert_type(await holdfast.gather(parse, ["a"], outcomes=flag), list[Any])

    await holdfast.gather(answer, [1])  # type: ignore[arg-type]


# ---------------------------------------------------------------- pools of coroutines


async def a_pool_of_coroutines(flag: bool) -> None:
    """AsyncPool and a view of it."""
    rate = holdfast.Rate(60, per=60)
    async with AsyncPool(50, name="llm", overflow="reject", max_queue=10, rate=rate) as llm:
        assert_type(llm, AsyncPool)
    for calls in (llm, llm.options(timeout=5, queue_timeout=None)):
        assert_type(await calls.run(answer, "why?"), int)
        assert_type(await calls.run(answer, "why?", hot=True), int)
        assert_type(await calls.run(Tool(), "why?"), float)
        future = assert_type(calls.submit(answer, "why?"), CallFuture[int])
        assert_type(await future, int)
        assert_type(await calls.wrap(answer)("why?", hot=True), int)
        assert_type(calls.stream(answer, questions()), Stream[int])
        assert_type(calls.stream(answer, ["a"], outcomes=False, limit=2), Stream[int])
        assert_type(calls.stream(answer, ["a"], outcomes=True), Stream[Outcome[int]])
        assert_type(calls.stream(answer, ["a"], outcomes=flag), Stream[Any])
        assert_type(await calls.gather(answer, questions(), limit=2), list[int])
        assert_type(await calls.gather(answer, ["a"], outcomes=True), list[Outcome[int]])
        assert_type(calls.stats(), PoolStats)
    assert_type(await llm.aclose(), bool)
    assert_type(await llm.adrain(5), bool)
    assert_type(llm.close(timeout=None), bool)
    assert_type(llm.name, str)
    llm.resize(20)

    await llm.run(answer, 5)  # type: ignore[arg-type]
    await llm.run(answer, "why?", cold=True)  # type: ignore[call-arg]
    await llm.run(parse, "path")  # type: ignore[arg-type]
    await llm.wrap(answer)(5)  # type: ignore[arg-type]
    llm.stream(answer, [5])  # type: ignore[arg-type]
    AsyncPool(5, overflow="block")  # type: ignore[arg-type]


# ---------------------------------------------------------------- pools of threads


async def a_pool_of_threads(flag: bool) -> None:
    """ThreadPool and a view of it."""
    async with ThreadPool(10, name="db", idle_timeout=1.0, min_workers=1) as db:
        assert_type(db, ThreadPool)
    for calls in (db, db.options(timeout=None)):
        assert_type(await calls.run(parse, "path"), bytes)
        future = assert_type(calls.submit(parse, "path"), CallFuture[bytes])
        assert_type(await future, bytes)
        assert_type(future.result(timeout=1), bytes)
        assert_type(future.exception(), BaseException | None)
        assert_type(await calls.wrap(parse)("path"), bytes)
        assert_type(calls.wrap_sync(parse)("path"), bytes)
        assert_type(calls.stream(parse, ["a"]), Stream[bytes])
        assert_type(calls.stream(parse, questions(), outcomes=True), Stream[Outcome[bytes]])
        assert_type(calls.stream(parse, ["a"], outcomes=flag), Stream[Any])
        assert_type(await calls.gather(parse, ["a"]), list[bytes])
        assert_type(await calls.gather(parse, ["a"], outcomes=True), list[Outcome[bytes]])
    db.resize(2)

    await db.run(parse, 5)  # type: ignore[arg-type]
    db.submit(parse).cancel()  # type: ignore[call-arg]
    db.wrap_sync(parse)(5)  # type: ignore[arg-type]


def a_standard_executor() -> None:
    """A ThreadPool goes wherever one of the standard library's goes, and its futures too."""
    with ThreadPool(2) as db:
        executor: Executor = db
        future: Future[bytes] = db.submit(parse, "path")
        assert_type(executor.submit(parse, "path").result(), bytes)
        assert_type(future.result(), bytes)
        assert_type(db.map(parse, ["a", "b"], timeout=5), Iterator[bytes])
        db.shutdown(wait=True, cancel_futures=True)


async def wrapped_functions_keep_their_signature() -> None:
    """For frameworks that look at them."""
    llm, db = AsyncPool(1), ThreadPool(1)
    tool: Callable[[str], Coroutine[Any, Any, int]] = llm.wrap(answer)
    lookup: Callable[[str], Coroutine[Any, Any, bytes]] = db.wrap(parse)
    plain: Callable[[str], bytes] = db.wrap_sync(parse)
    assert_type(await tool("why?"), int)
    assert_type(await lookup("path"), bytes)
    assert_type(plain("path"), bytes)


# ---------------------------------------------------------------- records and errors


def outcomes_are_told_apart(outcome: Outcome[int]) -> int:
    """The fields of an outcome."""
    assert_type(outcome.index, int)
    assert_type(outcome.value, int | None)
    assert_type(outcome.error, BaseException | None)
    assert_type(outcome.attempts, int)
    assert_type(outcome.seconds, float)
    assert_type(outcome.ok, bool)
    return outcome.unwrap()


def figures(pool: AsyncPool, stream: Stream[int]) -> Sequence[int]:
    """The records of a pool and a stream."""
    stats = pool.stats()
    assert_type(stats.rejected, Mapping[str, int])
    assert_type(stream.stats(), StreamStats)
    return [stats.in_flight, stats.queued, stream.stats().pulled]


def a_stream_is_a_context_manager_of_both_kinds(stream: Stream[int]) -> None:
    """``with`` and ``for`` in blocking code."""
    with stream as same:
        assert_type(same, Stream[int])
        assert_type(list(same), list[int])


async def a_stream_in_a_coroutine(stream: Stream[int]) -> None:
    """``async with`` and ``async for`` in a coroutine."""
    async with stream as same:
        assert_type([value async for value in same], list[int])


async def errors_carry_typed_attributes(pool: AsyncPool) -> None:
    """What a handler can rely on."""
    try:
        await pool.run(answer, "why?")
    except holdfast.WouldDeadlock as error:
        assert_type(error.cycle, tuple[str, ...])
    except holdfast.Rejected as error:
        assert_type(error.retry_after, float | None)
        assert_type(error.reason, str)
    except holdfast.CallTimeout as error:
        assert_type(error.stopped, bool)
        slow: TimeoutError = error
        raise slow from None
    except holdfast.WorkerLost as error:
        assert_type(error.exitcode, int | None)
    except holdfast.Leaked as error:
        assert_type(error.held, tuple[str, ...])


async def programs_and_their_lines(pool: AsyncPool) -> None:
    """What a tool gives back."""
    done = await holdfast.run_process(["git", "log"], timeout=10, pool=pool, check=True)
    assert_type(done, holdfast.ProcessResult)
    assert_type(done.stdout, bytes)
    assert_type(done.returncode, int | None)
    async with holdfast.process_lines(["git", "log"], pool=pool, stderr="stdout") as lines:
        assert_type([line async for line in lines], list[bytes])
        assert_type(lines.result, holdfast.ProcessResult | None)


def programs_in_blocking_code() -> None:
    """The same without a loop."""
    done = holdfast.run_process_sync("a", shell=True, input=b"x", env={})  # noqa: S604 - never run
    assert_type(done, holdfast.ProcessResult)
    with holdfast.process_lines(["git", "log"]) as lines:
        assert_type(list(lines), list[bytes])


async def one_run_per_key(flight: holdfast.SingleFlight) -> None:
    """A flight, and calls that are remembered, keep the types of their functions."""
    assert_type(await flight.run("k", answer, "why?", hot=True), int)
    assert_type(flight.run_sync("k", parse, "path"), bytes)
    assert_type(flight.wrap(parse)("path"), bytes)
    once = Idempotent(MemoryStore(), unfinished="repeat")
    assert_type(await once.run("k", answer, "why?"), int)
    pool = AsyncPool(1, idempotency=once)
    keyed = pool.options(idempotency_key="k", timeout=5)
    assert_type(await keyed.run(answer, "why?", hot=True), int)
    assert_type(await keyed.submit(answer, "why?"), int)
    await keyed.run(answer, 1)  # type: ignore[arg-type]
    threads = ThreadPool(1, idempotency=once)
    made = threads.options(idempotency_key="parse-{}".format)
    assert_type(made.stream(parse, ["a"]), Stream[bytes])
    assert_type(await made.gather(parse, ["a"]), list[bytes])
    ThreadPool(1, idempotency=MemoryStore())  # type: ignore[arg-type]


def watching_is_typed() -> None:
    """What a monitor, a trend and a snapshot give."""
    assert_type(holdfast.snapshot(), Snapshot)
    with holdfast.Monitor(on_change=lambda change: change.snapshot.fds) as monitor:
        assert_type(monitor.sample().pools[0].stats.in_flight, int)
        assert_type(monitor.trends, tuple[Verdict, ...])
    trend = holdfast.Trend("descriptors", limit=1024)
    trend.see(0.0, [Living(1, "app.py:10")])
    assert_type(trend.verdict.left_s, float | None)


async def a_database_keeps_the_types_of_functions(db: SQLite) -> None:
    """What is read is the file's; what a function returns is the function's."""
    assert_type(await db.execute("DELETE FROM t"), Written)
    assert_type((await db.execute("DELETE FROM t")).rowcount, int)
    assert_type(await db.fetch_all("SELECT 1"), list[Any])
    assert_type(await db.write(count_rows, "t"), int)
    assert_type(await db.read(count_rows, table="t"), int)
    assert_type(db.blocking.write(count_rows, "t"), int)
    async with db.transaction() as tx:
        assert_type(await tx.call(count_rows, "t"), int)
    await db.write(count_rows, 1)  # type: ignore[arg-type]
    assert_type(holdfast.sqlite("x.db"), SQLite)


def count_rows(connection: sqlite3.Connection, table: str) -> int:
    """A function that is given a connection."""
    return len(connection.execute("SELECT 1 WHERE ?", (table,)).fetchall())


async def shared_clients_are_the_libraries_own() -> None:
    """What is returned can be used as the library says."""
    assert_type(holdfast.http("llm", limit=3), aiohttp.ClientSession)
    assert_type(holdfast.http.httpx("llm"), httpx.AsyncClient)
    assert_type(holdfast.http.httpx2("llm"), httpx2.AsyncClient)
    assert_type(holdfast.http.openai(api_key="x"), openai.AsyncOpenAI)
    assert_type(holdfast.http.anthropic(api_key="x"), anthropic.AsyncAnthropic)
    assert_type(holdfast.http.stats()[0].in_flight, int)
    assert_type(holdfast.http.blocking.httpx("llm"), httpx.Client)
    assert_type(holdfast.http.blocking.httpx2("llm", keepalive=5), httpx2.Client)
    assert_type(holdfast.http.blocking.openai(api_key="x"), openai.OpenAI)
    assert_type(holdfast.http.blocking.anthropic(api_key="x"), anthropic.Anthropic)
    assert_type(holdfast.http.blocking.stats()[0].queued, int)


async def connect() -> Tool:
    """A coroutine function that opens something."""
    return Tool()


async def resources(path: str) -> None:
    """A pool of resources lends what its function opens, blocking or not."""
    with holdfast.ResourcePool(lambda: path.encode(), max_size=2) as blocking:
        with blocking.borrow() as found:
            assert_type(found, bytes)
        assert_type(blocking.acquire().resource, bytes)
        assert_type(blocking.stats(), ResourceStats)
    # mypy does not infer what a coroutine function returns from one of two kinds of functions.
    tools: holdfast.ResourcePool[Tool] = holdfast.ResourcePool(connect, leak_after=(1, 2))
    async with tools as pool:
        async with pool.borrow(timeout=1.0) as tool:
            assert_type(tool, Tool)
        lease = await pool.aacquire()
        assert_type(lease.resource, Tool)
    async with holdfast.scope("session") as scope:
        assert_type(holdfast.track(tool, name="tool", is_closed=lambda: False), Tool)
        assert_type(scope, Scope)


def looks(error: OSError) -> None:
    """A look at a process, and at why an error came."""
    seen = holdfast.audit(4711, confirm_s=1.0)
    assert_type(seen, Audit)
    assert_type(seen.healthy, bool)
    for finding in seen.findings:
        assert_type(finding, Finding)
    told = holdfast.explain(error)
    assert_type(told, Explanation)
    assert_type(told.reading, Reading | None)


async def a_runtime_hands_out_pools() -> None:
    """Each of its own kind, and what is owned keeps its type."""
    async with holdfast.Runtime() as rt:
        assert_type(rt.llm, AsyncPool)
        assert_type(rt.db, ThreadPool)
        assert_type(rt.own(ThreadPool(1)), ThreadPool)
        assert_type(rt.sqlite("x.db"), SQLite)
        assert_type(rt.snapshot(), Snapshot)
