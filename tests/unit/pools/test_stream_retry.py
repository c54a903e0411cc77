"""Items of streams that are called again, within the budget of the process."""

import asyncio
import time

import pytest

import holdfast
from holdfast import AsyncPool, Retry, ThreadPool
from holdfast.limits.retry_budget import RetryBudget
from holdfast.pools._retries import RETRIES, set_retry_budget
from holdfast.testing import FakeClock

TENTH = RetryBudget(ratio=0.1, per_s=0.0)
NONE = RetryBudget(ratio=0.0, per_s=0.0)
AT_ONCE = Retry(5, wait=0.0, on=(ConnectionError,))


@pytest.fixture(autouse=True)
def fresh_budget():
    """Each test has all of the budget to itself, and leaves all of it."""
    before = RETRIES.budget
    RETRIES.after_fork()
    yield
    set_retry_budget(before)
    RETRIES.after_fork()


def budget(of):
    """Go by this one, with nothing saved up but the one retry that is always there at first."""
    set_retry_budget(of)
    RETRIES.after_fork()


class Failing:
    """Fails for some items, and counts the calls."""

    def __init__(self, fails=lambda item: True):
        self.fails = fails
        self.calls = []

    def __call__(self, item):
        self.calls.append(item)
        if self.fails(item):
            raise ConnectionError(f"item {item}")
        return item

    async def later(self, item):
        await asyncio.sleep(0)
        return self(item)


@pytest.fixture(params=["coroutines", "threads"])
def kind(request):
    """What the stream runs on."""
    return request.param


def of(kind, failing):
    """The function, for what it runs on."""
    return failing.later if kind == "coroutines" else failing


async def outcomes_of(kind, failing, items, **options):
    """All outcomes of a stream that tries again."""
    stream = holdfast.stream(of(kind, failing), items, outcomes=True, **options)
    return [outcome async for outcome in stream]


@pytest.mark.parametrize(
    "make", [range, lambda n: (i for i in range(n))], ids=["range", "generator"]
)
async def test_a_stream_in_a_storm_makes_no_more_retries_than_the_budget_has(kind, make):
    """A tenth of the items, and the one that was there before the first."""
    budget(TENTH)
    failing = Failing()

    found = await outcomes_of(kind, failing, make(200), limit=8, retry=AT_ONCE)

    assert len(found) == 200
    assert 20 <= len(failing.calls) - 200 <= 21
    assert RETRIES.counts()[0] == len(failing.calls) - 200
    assert sum(outcome.attempts for outcome in found) == len(failing.calls)


async def test_an_item_that_the_budget_has_no_retry_for_has_failed_with_its_own_error(kind):
    """Its outcome has the true number of attempts, and the error a note that says why."""
    budget(NONE)

    found = await outcomes_of(kind, Failing(), range(3), limit=1, retry=AT_ONCE)

    assert [outcome.attempts for outcome in found] == [2, 1, 1]
    assert [str(outcome.error) for outcome in found] == ["item 0", "item 1", "item 2"]
    notes = [note for outcome in found for note in outcome.error.__notes__]
    assert len(notes) == 3
    assert all("retries of this process are used up" in note for note in notes)


async def test_a_stream_of_values_ends_with_the_error_that_the_budget_was_used_up_for(kind):
    """Noted, as in an outcome; what came before it is delivered."""
    budget(NONE)
    assert RETRIES.spend()
    failing = Failing(lambda item: item == 2)
    found = []

    with pytest.raises(ConnectionError, match="item 2") as caught:
        async for value in holdfast.stream(of(kind, failing), range(9), limit=1, retry=AT_ONCE):
            found.append(value)

    assert found == [0, 1]
    assert failing.calls.count(2) == 1
    assert "used up" in caught.value.__notes__[0]


async def test_gather_draws_from_the_same_budget_as_options(kind):
    """What one has spent the other has not."""
    budget(RetryBudget(ratio=0.0, per_s=0.1))  # ten seconds' worth: one
    pool = AsyncPool(2) if kind == "coroutines" else ThreadPool(2)
    failing = Failing()
    fn = of(kind, failing)
    with pytest.raises(ConnectionError):
        await pool.options(retry=AT_ONCE).run(fn, "first")
    assert failing.calls == ["first"] * 2

    with pytest.raises(ConnectionError) as caught:
        await pool.gather(fn, ["second"], retry=AT_ONCE)

    assert failing.calls == ["first"] * 2 + ["second"]
    assert "used up" in caught.value.__notes__[0]
    pool.close()


def test_time_earns_a_stream_its_retries():
    """So many a second, of those that the clock says have passed."""

    async def storm():
        set_retry_budget(RetryBudget(ratio=0.0, per_s=2.0))
        RETRIES.after_fork()

        async def fail(item):
            await asyncio.sleep(1.0)
            raise ConnectionError(item)

        found = [
            outcome
            async for outcome in holdfast.stream(
                fail, range(100), limit=10, outcomes=True, retry=AT_ONCE
            )
        ]
        return sum(outcome.attempts for outcome in found) - 100

    with FakeClock() as clock, asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        began = clock.now()
        retries = runner.run(storm())
        lasted = clock.now() - began

    assert 20 + 2.0 * (lasted - 2.0) <= retries <= 20 + 2.0 * lasted


async def test_the_items_of_a_stream_earn_retries_for_all_others(kind):
    """They are first calls, also where none of them failed."""
    budget(TENTH)
    assert RETRIES.spend()
    await outcomes_of(kind, Failing(lambda _: False), range(40), limit=4, retry=AT_ONCE)

    assert [RETRIES.spend() for _ in range(5)] == [True] * 4 + [False]


async def test_a_stream_without_retries_earns_and_spends_nothing(kind):
    """It has nothing to do with the budget."""
    budget(TENTH)
    await outcomes_of(kind, Failing(), range(40), limit=4)

    assert RETRIES.counts() == (0, 0)
    assert [RETRIES.spend() for _ in range(2)] == [True, False]


def test_a_stream_that_is_dropped_while_the_budget_is_looked_at_waits_for_nobody():
    """The collector may come by at any time, in any thread; and the stream ends all the same."""
    with ThreadPool(1) as pool:
        values = iter(pool.stream(Failing(lambda _: False), iter(int, 1), buffer=0, retry=AT_ONCE))
        first = next(values)
        while pool.stats().in_flight:
            time.sleep(0.001)
        with RETRIES.lock:
            del values
        assert pool.submit(int, "3").result(20) == 3
    assert first == 0
