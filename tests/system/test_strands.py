"""SingleFlight under a real agent framework, ``strands-agents``, in place of its own in-flight record.

What its documentation promises for ``idempotency_token`` holds, and what hangs with the record of its own
does not.
"""

import asyncio
import gc
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("strands", reason="strands-agents is not installed")

from strands.types.exceptions import ConcurrencyException, IdempotencyAbortedError
from tests.system.strands_flight import ScriptedModel, agent_with, text_reply, tool_call

from holdfast.errors import CallTimeout, WouldDeadlock
from holdfast.flow.single_flight import SingleFlight

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

PATIENCE = 30.0
T = "t"


class ModelDownError(Exception):
    """What the model's client raises."""


def answering(*replies):
    """A model that answers when it is let go."""
    return ScriptedModel(*(replies or (text_reply("forty-two"),)), wait=True)


def flight_of(agent):
    """The flight under an agent."""
    return agent._concurrency.flight


async def until(condition):
    """Let the loop turn until something is so."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "it never came to be"
        await asyncio.sleep(0.001)


async def storm(agent, n, token=T):
    """Begin a primary and ``n`` duplicates of it; all wait when this returns."""
    calls = [asyncio.ensure_future(agent.invoke_async("why?", idempotency_token=token))]
    await until(agent.model.called.is_set)
    calls += [
        asyncio.ensure_future(agent.invoke_async("why?", idempotency_token=token)) for _ in range(n)
    ]
    await until(lambda: flight_of(agent).stats().waiting == n)
    return calls


def test_duplicates_get_the_same_result_object():
    """One call of the model for all, and each gets the object that the primary got."""

    async def main():
        agent = agent_with(answering())
        calls = await storm(agent, 20)
        agent.model.let_go.set()
        return agent, await asyncio.gather(*calls)

    agent, results = asyncio.run(main())

    assert all(result is results[0] for result in results)
    assert str(results[0]).strip() == "forty-two"
    assert agent.model.calls == 1
    stats = flight_of(agent).stats()
    assert (stats.leaders, stats.joiners, stats.shared, stats.in_flight) == (1, 20, 20, 0)


def test_a_duplicate_yields_the_result_and_calls_its_handler_once():
    """Of the events of the run a duplicate sees the last one, and so does its callback handler."""
    seen = []

    async def main():
        agent = agent_with(answering())
        (primary,) = await storm(agent, 0)

        async def duplicate():
            stream = agent.stream_async(
                "why?",
                idempotency_token=T,
                callback_handler=lambda **event: seen.append(event),
            )
            return [event async for event in stream]

        events = asyncio.ensure_future(duplicate())
        await until(lambda: flight_of(agent).stats().waiting == 1)
        agent.model.let_go.set()
        return await primary, await events

    result, events = asyncio.run(main())

    assert [event["result"] is result for event in events] == [True]
    assert [event["result"] is result for event in seen] == [True]


def test_the_error_of_the_primary_reaches_all():
    """The primary raises the error itself; each duplicate one like it, whose traceback stays short."""

    async def main():
        agent = agent_with(answering(ModelDownError("overloaded")))
        calls = await storm(agent, 50)
        agent.model.let_go.set()
        return agent, await asyncio.gather(*calls, return_exceptions=True)

    agent, (original, *copies) = asyncio.run(main())

    assert {(type(error), str(error)) for error in copies} == {(ModelDownError, "overloaded")}
    assert type(original) is ModelDownError
    assert len(set(map(id, copies))) == len(copies)
    assert all(error.__cause__ is original for error in copies)
    lengths = [len(traceback.extract_tb(error.__traceback__)) for error in [original, *copies]]
    assert max(lengths) <= min(lengths[1:]) + lengths[0]  # and not with their number
    assert len(set(lengths[1:])) == 1
    assert agent.model.calls == 1


def test_another_token_is_refused_at_once():
    """While one request is in flight, another token, or none, gets the framework's own error."""

    async def main():
        agent = agent_with(answering())
        calls = await storm(agent, 3)
        for token in ("another", None):
            with pytest.raises(ConcurrencyException):
                await agent.invoke_async("what?", idempotency_token=token)
        agent.model.let_go.set()
        return agent, await asyncio.gather(*calls)

    agent, results = asyncio.run(main())

    assert all(result is results[0] for result in results)
    assert agent.model.calls == 1


def test_a_token_that_meets_a_request_without_one_is_refused_and_free_again():
    """The framework's lock is taken, so the token's run fails at once, and nothing is left of it."""

    async def main():
        agent = agent_with(answering())
        plain = asyncio.ensure_future(agent.invoke_async("why?"))
        await until(agent.model.called.is_set)
        with pytest.raises(ConcurrencyException):
            await agent.invoke_async("why?", idempotency_token=T)
        assert flight_of(agent).stats().in_flight == 0
        agent.model.let_go.set()
        await plain
        return str(await agent.invoke_async("why?", idempotency_token=T)).strip()

    assert asyncio.run(main()) == "forty-two"


def test_a_token_is_free_after_success_and_after_failure():
    """Nothing is cached: the next call with the token runs anew."""

    async def main():
        agent = agent_with(ScriptedModel(text_reply("1"), ModelDownError(), text_reply("3")))
        first = await agent.invoke_async("?", idempotency_token=T)
        with pytest.raises(ModelDownError):
            await agent.invoke_async("?", idempotency_token=T)
        third = await agent.invoke_async("?", idempotency_token=T)
        return str(first).strip(), str(third).strip(), agent.model.calls

    assert asyncio.run(main()) == ("1", "3", 3)


def test_a_prompt_can_be_the_token():
    """A token need not be hashable, and is matched by equality; the empty string is one, too."""

    async def main():
        for token, same, other in (
            ([{"text": "why?"}], [{"text": "why?"}], [{"text": "what?"}]),
            ("", "", " "),
        ):
            agent = agent_with(answering())
            calls = await storm(agent, 0, token=token)
            calls.append(asyncio.ensure_future(agent.invoke_async("?", idempotency_token=same)))
            await until(lambda agent=agent: flight_of(agent).stats().waiting == 1)
            with pytest.raises(ConcurrencyException):
                await agent.invoke_async("?", idempotency_token=other)
            agent.model.let_go.set()
            first, second = await asyncio.gather(*calls)
            assert first is second

    asyncio.run(main())


def test_reentrant_agents_ignore_tokens():
    """In UNSAFE_REENTRANT mode each call runs for itself, as documented."""

    async def main():
        agent = agent_with(answering(), concurrent_invocation_mode="unsafe_reentrant")
        calls = [
            asyncio.ensure_future(agent.invoke_async("?", idempotency_token=T)) for _ in range(3)
        ]
        await until(lambda: agent.model.calls == 3)
        agent.model.let_go.set()
        await asyncio.gather(*calls)
        return flight_of(agent).stats().leaders

    assert asyncio.run(main()) == 0


def test_the_cancellation_of_a_duplicate_touches_nobody_else():
    """The primary and the other duplicates get the result; the cancelled one is cancelled."""

    async def main():
        agent = agent_with(answering())
        calls = await storm(agent, 10)
        for duplicate in calls[1:6]:
            duplicate.cancel()
        await until(lambda: flight_of(agent).stats().waiting == 5)
        agent.model.let_go.set()
        return agent, await asyncio.gather(*calls, return_exceptions=True)

    agent, (result, *rest) = asyncio.run(main())

    assert [type(one) for one in rest[:5]] == [asyncio.CancelledError] * 5
    assert all(one is result for one in rest[5:])
    assert agent.model.calls == 1


def test_when_the_primary_is_cancelled_duplicates_are_told_and_the_agent_goes_on():
    """Duplicates get the documented error and not somebody else's cancellation."""

    async def main():
        agent = agent_with(answering())
        calls = await storm(agent, 10)
        calls[0].cancel()
        found = await asyncio.gather(*calls, return_exceptions=True)
        agent.model.let_go.set()
        again = await agent.invoke_async("why?", idempotency_token=T)
        return found, str(again).strip()

    (primary, *duplicates), again = asyncio.run(main())

    assert isinstance(primary, asyncio.CancelledError)
    assert {type(error) for error in duplicates} == {IdempotencyAbortedError}
    assert again == "forty-two"


def test_a_cancelled_run_is_a_result_for_all():
    """``agent.cancel()`` ends the run with a result that says so, for duplicates as well."""

    async def main():
        agent = agent_with(answering())
        calls = await storm(agent, 5)
        agent.cancel()
        agent.model.let_go.set()
        return await asyncio.gather(*calls)

    results = asyncio.run(main())

    assert results[0].stop_reason == "cancelled"
    assert all(result is results[0] for result in results)


def test_a_paused_consumer_does_not_strand_duplicates():
    """Who reads the stream stops reading: its duplicates are told when their time is up, and no later.

    With the framework's own record they would wait for as long as the consumer pauses.
    """

    async def main():
        flight = SingleFlight(scope="object", timeout=0.2)
        agent = agent_with(ScriptedModel(text_reply("forty-two")), flight=flight)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def consume():
            last = {}
            async for event in agent.stream_async("why?", idempotency_token=T):
                last = event
                begun.set()
                await go_on.wait()
            return last["result"]

        primary = asyncio.create_task(consume())
        await begun.wait()
        calls = [agent.invoke_async("why?", idempotency_token=T) for _ in range(100)]
        found = await asyncio.wait_for(
            asyncio.gather(*calls, return_exceptions=True), timeout=PATIENCE
        )
        stats = flight.stats()
        go_on.set()
        return found, stats, await primary

    found, stats, result = asyncio.run(main())

    assert {type(error) for error in found} == {CallTimeout}
    assert stats.timeouts == 100
    assert stats.in_flight == 1  # the paused run itself is left alone, and goes on
    assert str(result).strip() == "forty-two"


def test_a_stream_that_is_dropped_lets_its_duplicates_go():
    """The consumer forgets the stream in the midst of it: duplicates are told that it was aborted."""

    async def main():
        agent = agent_with(ScriptedModel(text_reply("forty-two")))
        stream = agent.stream_async("why?", idempotency_token=T)
        await asyncio.create_task(anext(stream))
        calls = [
            asyncio.ensure_future(agent.invoke_async("why?", idempotency_token=T))
            for _ in range(10)
        ]
        await until(lambda: flight_of(agent).stats().waiting == 10)
        del stream
        gc.collect()
        found = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), PATIENCE)
        again = await agent.invoke_async("why?", idempotency_token=T)
        return found, str(again).strip()

    found, again = asyncio.run(main())

    assert {type(error) for error in found} == {IdempotencyAbortedError}
    assert again == "forty-two"


def test_a_tool_that_calls_its_own_agent_with_the_token_is_refused():
    """It would wait for itself for ever; the tool gets the error, and the run goes on."""
    errors = []

    async def main():
        async def ask_again() -> str:
            """Ask the same agent the same thing."""
            try:
                await agent.invoke_async("why?", idempotency_token=T)
            except WouldDeadlock as error:
                errors.append(error)
            return "no"

        agent = agent_with(ScriptedModel(tool_call("ask_again"), text_reply("done")), ask_again)
        return str(await agent.invoke_async("why?", idempotency_token=T)).strip()

    assert asyncio.run(main()) == "done"
    (error,) = errors
    assert error.cycle == ("run 't' of 'agent' waits for run 't' of 'agent'",)


def test_a_token_that_does_not_equal_itself_is_refused():
    """NaN could never be found again, and would keep the agent's record for ever."""

    async def main():
        agent = agent_with(ScriptedModel(text_reply("fine")))
        with pytest.raises(ValueError, match="does not equal itself"):
            await agent.invoke_async("?", idempotency_token=float("nan"))
        return str(await agent.invoke_async("?", idempotency_token=T)).strip()

    assert asyncio.run(main()) == "fine"


def test_a_tool_called_directly_keeps_the_lock_of_the_framework():
    """While a request is in flight, a tool can't be called beside it; afterwards it can."""

    async def main():
        def look() -> str:
            """Look something up."""
            return "found"

        agent = agent_with(answering(), look)
        (primary,) = await storm(agent, 0)
        with pytest.raises(ConcurrencyException):
            await asyncio.to_thread(agent.tool.look)
        agent.model.let_go.set()
        await primary
        return await asyncio.to_thread(agent.tool.look)

    assert asyncio.run(main())["status"] == "success"


def test_the_storm_over_four_loops_while_the_agent_needs_a_worker_thread():
    """A blocking tool needs the default executor, which has one thread; 200 duplicates hold none."""
    loops, duplicates = 4, 200
    results, errors, threads = [], [], []
    all_wait = threading.Event()

    def slow() -> str:
        """Think in a thread."""
        assert all_wait.wait(PATIENCE)
        threads.append(threading.active_count())
        return "thought"

    agent = agent_with(ScriptedModel(tool_call("slow"), text_reply("done")), slow)

    async def callers():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        calls = (
            agent.invoke_async("why?", idempotency_token=T) for _ in range(duplicates // loops)
        )
        results.extend(await asyncio.gather(*calls))

    def run():
        try:
            asyncio.run(callers())
        except BaseException as error:
            errors.append(error)
            raise

    before = threading.active_count()
    crowd = [threading.Thread(target=run, daemon=True) for _ in range(loops)]
    for thread in crowd:
        thread.start()
    give_up = time.monotonic() + PATIENCE
    while flight_of(agent).stats().waiting < duplicates - 1:
        assert time.monotonic() < give_up, (flight_of(agent).stats(), errors)
        crowd[0].join(0.001)
    all_wait.set()
    for thread in crowd:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "a loop hangs"

    assert not errors
    assert len(results) == duplicates
    assert all(result is results[0] for result in results)
    assert agent.model.calls == 2  # before the tool and after it
    assert threads == [before + loops + 1]


def test_blocking_callers_in_threads_share_one_run():
    """``agent(...)`` runs each call on a loop and a thread of its own; still there is one run."""
    agent = agent_with(answering())
    results = []
    crowd = [
        threading.Thread(
            target=lambda: results.append(agent("why?", idempotency_token=T)), daemon=True
        )
        for _ in range(10)
    ]
    for thread in crowd:
        thread.start()
    give_up = time.monotonic() + PATIENCE
    while flight_of(agent).stats().waiting < len(crowd) - 1:
        assert time.monotonic() < give_up
        crowd[0].join(0.001)
    agent.model.let_go.set()
    for thread in crowd:
        thread.join(PATIENCE)

    assert len(results) == len(crowd)
    assert all(result is results[0] for result in results)
    assert agent.model.calls == 1
