"""Pools of processes with rates: what calls and items weigh, and a service that asks to wait."""

import asyncio

import pytest
from tests.system import process_jobs as jobs

from holdfast import ProcessPool, Rate, RateLimited

pytestmark = pytest.mark.system

HOUR = 3600.0


def weight(value):
    """What a call with this argument weighs."""
    return abs(value)


@pytest.fixture
def pool():
    """As much as weighs ten at once, and then one more in an hour."""
    rates = [Rate(1000, per=1.0, burst=1000), Rate(1, per=HOUR, burst=10, weigh=weight)]
    with ProcessPool(2, rate=rates, overflow="reject") as one:
        yield one


def assert_waits(pool, least):
    """The next call would have to wait for so long."""
    with pytest.raises(RateLimited) as refused:
        pool.submit(abs, 1)
    assert refused.value.retry_after >= least


def test_calls_start_while_what_they_weigh_is_allowed(pool):
    """By whichever way they come; a rate that weighs nothing is kept besides."""

    async def run():
        return await pool.run(abs, -6)

    assert pool.submit(abs, -4).result(20) == 4
    assert asyncio.run(run()) == 6

    assert_waits(pool, 0.9 * HOUR)


def test_the_items_of_a_stream_are_weighed(pool):
    """When they have their permit; then what follows has to wait until that is paid back."""
    assert list(pool.stream(abs, [-10])) == [10]

    assert_waits(pool, 0.9 * HOUR)


def test_an_item_that_cannot_be_weighed_is_an_error_of_its_own(pool):
    """It never starts, and the others do."""
    bad, good = pool.stream(str, ["a", 1], outcomes=True)

    assert isinstance(bad.error, TypeError)
    assert (good.value, good.error) == ("1", None)


def test_a_call_that_cannot_be_weighed_is_refused(pool):
    """The caller has the error, and the pool no call."""
    with pytest.raises(TypeError):
        pool.submit(str, "a")

    assert pool.stats().submitted == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_that_asks_to_wait_pauses_the_pool(streamed):
    """Raised in a worker, and learnt from here."""
    with ProcessPool(1, rate=Rate(1000), overflow="reject") as pool:
        if streamed:
            (outcome,) = pool.stream(jobs.busy, [2 * HOUR], outcomes=True)
            error = outcome.error
        else:
            error = pool.submit(jobs.busy, 2 * HOUR).exception(20)
        assert str(error) == "busy"

        assert_waits(pool, HOUR)


def test_a_stream_ends_in_a_pool_with_a_rate():
    """Each item is admitted by itself."""
    with ProcessPool(2, rate=Rate(100, per=1.0, burst=2)) as pool:
        assert list(pool.stream(abs, range(-20, 0))) == list(range(20, 0, -1))
