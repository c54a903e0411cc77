"""Calls that are tried again, and calls that have a fallback."""

import asyncio
import threading

import pytest

import holdfast
from holdfast import AsyncPool, CallTimeout, QueueFull, Retry, ThreadPool
from holdfast.limits.fallback import Fallback
from holdfast.limits.retry_budget import RetryBudget
from holdfast.pools._retries import RETRIES, set_retry_budget
from holdfast.testing import FakeClock

SOON = {"wait": 0.001, "idempotent": True}


class Flaky:
    """Fails so often, then returns what it was given."""

    def __init__(self, failures, error=ConnectionError):
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self, value):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error(f"call {self.calls}")
        return value

    async def later(self, value):
        await asyncio.sleep(0)
        return self(value)


@pytest.fixture(params=["coroutines", "threads"])
def pool(request):
    """One of each kind, of two."""
    one = AsyncPool(2, name="one") if request.param == "coroutines" else ThreadPool(2, name="one")
    yield one
    one.close()


@pytest.fixture(autouse=True)
def many_retries():
    """Tests don't share what is left of the process's budget."""
    before = set_retry_budget(RetryBudget(ratio=1.0, per_s=1000.0, most=1000))
    yield
    set_retry_budget(before)


def of(pool, flaky):
    """The function, of the kind that the pool runs."""
    return flaky.later if isinstance(pool, AsyncPool) else flaky


# ---------------------------------------------------------------- again


async def test_a_call_is_tried_again_until_it_returns(pool):
    """Each attempt is a call of the pool, and is counted as one."""
    flaky = Flaky(2)

    assert await pool.options(retry=Retry(3, **SOON)).run(of(pool, flaky), "v") == "v"

    assert flaky.calls == 3
    assert (pool.stats().submitted, pool.stats().failed) == (3, 2)


async def test_after_the_last_attempt_its_error_is_raised(pool):
    """Unchanged."""
    flaky = Flaky(9)

    with pytest.raises(ConnectionError, match="call 3"):
        await pool.options(retry=Retry(3, **SOON)).run(of(pool, flaky), "v")


async def test_what_may_have_had_effects_is_not_tried_again_by_default(pool):
    """Nobody said that it may be run twice."""
    flaky = Flaky(9)

    with pytest.raises(ConnectionError, match="call 1"):
        await pool.options(retry=Retry(3, wait=0.001)).run(of(pool, flaky), "v")


async def test_what_never_started_is_tried_again_by_default():
    """A full pool has room in a moment."""
    async with AsyncPool(1, max_queue=0, overflow="reject") as pool:
        held = asyncio.create_task(pool.run(asyncio.sleep, 0.01))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await pool.run(asyncio.sleep, 0)

        patient = pool.options(retry=Retry(200, wait=0.001, wait_max=0.001))
        assert await patient.run(asyncio.sleep, 0, "in") == "in"
        await held


async def test_between_two_attempts_a_call_holds_no_permit():
    """Others go on meanwhile."""
    with FakeClock() as clock:
        del clock
        flaky = Flaky(1)
        async with AsyncPool(1) as pool:
            again = asyncio.create_task(
                pool.options(retry=Retry(2, wait=0.05, jitter=False, idempotent=True)).run(
                    flaky.later, "again"
                )
            )
            while flaky.calls == 0:
                await asyncio.sleep(0)
            assert await pool.run(asyncio.sleep, 0, "other") == "other"
            assert flaky.calls == 1
            assert await again == "again"


async def test_no_attempt_is_made_behind_an_inherited_deadline(pool):
    """The wait would outlast the time that is left; the error says so."""
    flaky = Flaky(9)

    with holdfast.deadline(5.0), pytest.raises(ConnectionError) as caught:
        await pool.options(retry=Retry(3, wait=60.0, jitter=False, idempotent=True)).run(
            of(pool, flaky), "v"
        )

    assert flaky.calls == 1
    assert "inherited deadline" in caught.value.__notes__[0]


async def test_the_process_has_one_budget_for_all_retries(pool):
    """A disturbance is not made a storm; the error says why it was not tried again."""
    set_retry_budget(RetryBudget(ratio=0.0, per_s=0.0, most=1))
    RETRIES._counter._balance = 1.0
    view = pool.options(retry=Retry(5, **SOON))

    errors = [await _error(view.run(of(pool, Flaky(9)), "v")) for _ in range(4)]

    notes = [note for error in errors for note in getattr(error, "__notes__", ())]
    assert str(errors[0]) == "call 2"
    assert [str(error) for error in errors[1:]] == ["call 1"] * 3
    assert all("used up" in note for note in notes)
    assert len(notes) == 4


async def _error(call):
    try:
        await call
    except ConnectionError as error:
        return error
    raise AssertionError


async def test_a_cancelled_caller_tries_no_more(pool):
    """Also between two attempts."""
    flaky = Flaky(9)
    view = pool.options(retry=Retry(3, wait=60.0, idempotent=True))
    call = asyncio.create_task(view.run(of(pool, flaky), "v"))
    while pool.stats().failed == 0:
        await asyncio.sleep(0)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert flaky.calls == 1
    assert pool.stats().in_flight == 0


# ---------------------------------------------------------------- something else instead


@pytest.mark.parametrize("fallback", ["old", lambda value: f"old {value}"])
async def test_a_refusal_is_replaced_by_a_value_or_by_a_function_of_the_arguments(fallback):
    """Graceful degradation."""
    async with AsyncPool(1, max_queue=0, overflow="reject") as pool:
        held = asyncio.create_task(pool.run(asyncio.sleep, 0.01))
        await asyncio.sleep(0)

        found = await pool.options(fallback=fallback).run(Flaky(0).later, "v")

        assert found == ("old" if fallback == "old" else "old v")
        assert pool.stats().rejected == {"full": 1}
        await held


async def test_a_timeout_is_replaced_by_what_a_coroutine_function_returns():
    """A cheaper model, say."""

    async def cheaper(seconds):
        await asyncio.sleep(0)
        return f"instead of {seconds}"

    async with AsyncPool(1) as pool:
        view = pool.options(timeout=0.01, fallback=cheaper)

        assert await view.run(asyncio.sleep, 60) == "instead of 60"


async def test_a_mistake_of_the_program_has_no_fallback(pool):
    """Unless it is named."""
    flaky = Flaky(9, error=KeyError)

    with pytest.raises(KeyError):
        await pool.options(fallback="old").run(of(pool, flaky), "v")
    assert (
        await pool.options(fallback=Fallback("old", on=(KeyError,))).run(of(pool, flaky), "v")
        == "old"
    )


async def test_an_error_of_the_fallback_is_raised_with_the_first_as_its_context():
    """Both are told."""

    def broken(_):
        raise LookupError

    async with AsyncPool(1) as pool:
        with pytest.raises(LookupError) as caught:
            await pool.options(timeout=0.01, fallback=broken).run(asyncio.sleep, 60)

    assert isinstance(caught.value.__context__, CallTimeout)


async def test_a_fallback_comes_after_the_last_attempt(pool):
    """Not before."""
    flaky = Flaky(9)
    view = pool.options(retry=Retry(3, **SOON), fallback=Fallback("old", on=(ConnectionError,)))

    assert await view.run(of(pool, flaky), "v") == "old"
    assert flaky.calls == 3


# ---------------------------------------------------------------- streams


async def test_outcomes_tell_of_attempts_and_fallbacks(pool):
    """So a consumer can tell a real answer from a stand-in."""
    flaky = {n: Flaky(n) for n in range(4)}

    async def later(n):
        await asyncio.sleep(0)
        return flaky[n](n)

    def now(n):
        return flaky[n](n)

    view = pool.options(
        retry=Retry(3, **SOON), fallback=Fallback(lambda n: -n, on=(ConnectionError,))
    )
    fn = later if isinstance(pool, AsyncPool) else now
    found = [o async for o in view.stream(fn, range(4), outcomes=True)]

    assert [(o.value, o.attempts, type(o.instead_of)) for o in found] == [
        (0, 1, type(None)),
        (1, 2, type(None)),
        (2, 3, type(None)),
        (-3, 3, ConnectionError),
    ]
    assert all(o.ok for o in found)


async def test_values_of_a_guarded_stream_come_in_order_and_the_first_error_raises(pool):
    """As in any stream."""
    broken = Flaky(99)

    async def later(n):
        await asyncio.sleep(0)
        return broken(n) if n == 3 else n

    def now(n):
        return broken(n) if n == 3 else n

    fn = later if isinstance(pool, AsyncPool) else now
    found = []
    with pytest.raises(ConnectionError, match="call 2"):
        async for value in pool.options(retry=Retry(2, **SOON)).stream(fn, range(10_000)):
            found.append(value)

    assert found == [0, 1, 2]
    assert pool.stats().submitted < 100


async def test_a_gather_of_guarded_calls_is_a_list_in_input_order(pool):
    """Of values, fallbacks among them."""
    flaky = Flaky(99)

    async def later(n):
        await asyncio.sleep(0)
        return flaky(n) if n % 2 else n

    def now(n):
        return flaky(n) if n % 2 else n

    fn = later if isinstance(pool, AsyncPool) else now
    view = pool.options(fallback=Fallback("old", on=(ConnectionError,)))

    assert await view.gather(fn, range(6)) == [0, "old", 2, "old", 4, "old"]


def test_a_guarded_stream_can_be_read_in_blocking_code():
    """The same object."""
    flaky = Flaky(1)
    with ThreadPool(2) as pool:
        stream = pool.options(retry=Retry(2, **SOON)).stream(flaky, range(5))
        assert list(stream) == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------- futures


def test_a_submitted_call_is_tried_again_in_blocking_code(pool):
    """The future is that of all attempts."""
    flaky = Flaky(2)

    future = pool.options(retry=Retry(3, **SOON)).submit(of(pool, flaky), "v")

    assert future.result(10) == "v"
    assert flaky.calls == 3


async def test_a_submitted_call_is_tried_again_on_a_loop(pool):
    """And can be awaited."""
    flaky = Flaky(2)

    assert await pool.options(retry=Retry(3, **SOON)).submit(of(pool, flaky), "v") == "v"


def test_a_refused_submission_has_a_fallback_too():
    """It never started."""
    release = threading.Event()
    with ThreadPool(1, max_queue=0, overflow="reject") as pool:
        held = pool.submit(release.wait)
        assert pool.options(fallback="old").submit(int, "3").result(10) == "old"
        with pytest.raises(QueueFull):
            pool.options(retry=Retry(3, on=(KeyError,))).submit(int, "3")
        release.set()
        held.result(10)


def test_a_submitted_call_can_be_cancelled_between_two_attempts(pool):
    """Then there is no further one."""
    flaky = Flaky(9)
    future = pool.options(retry=Retry(3, wait=60.0, idempotent=True)).submit(of(pool, flaky), "v")
    while pool.stats().failed == 0:
        threading.Event().wait(0.001)

    while not future.cancel():
        threading.Event().wait(0.001)

    assert future.cancelled()
    assert flaky.calls == 1


# ---------------------------------------------------------------- views


async def test_a_view_keeps_its_guard_when_other_options_change(pool):
    """Until it is taken away."""
    flaky = Flaky(1)
    view = pool.options(retry=Retry(2, **SOON)).options(timeout=60)
    assert await view.run(of(pool, flaky), "v") == "v"

    bare = view.options(retry=None)
    with pytest.raises(ConnectionError):
        await bare.run(of(pool, Flaky(1)), "v")


async def test_options_that_are_none_make_no_guard(pool):
    """The plain path."""
    assert type(pool.options(retry=None, fallback=None)) is type(pool.options())


@pytest.mark.parametrize("wrong", [3, "three", Retry])
async def test_a_retry_that_is_none_is_refused(pool, wrong):
    """With what would do."""
    with pytest.raises(TypeError, match=r"retry must be a Retry such as Retry\(3\)"):
        pool.options(retry=wrong)


async def test_a_wrapped_function_is_guarded(pool):
    """As everything that the view makes."""
    flaky = Flaky(1)
    wrapped = pool.options(retry=Retry(2, **SOON)).wrap(of(pool, flaky))

    assert await wrapped("v") == "v"
