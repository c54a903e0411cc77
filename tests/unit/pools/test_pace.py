"""Pools with several rates, with weights, and with a service that says what it has left."""

import asyncio

import pytest

from holdfast import AsyncPool, Rate, RateLimited, ThreadPool
from holdfast.testing import FakeClock


class Answer:
    def __init__(self, **headers):
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class TooMany(Exception):
    def __init__(self, **said):
        super().__init__("429")
        self.__dict__.update(said)


def in_fake_time(main):
    """Run ``main(clock)`` on a loop that jumps from timer to timer."""
    with FakeClock() as clock, asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        return runner.run(main(clock))


def not_before(found, expected):
    """Whether none started earlier than it may; when the clock jumps, some start later."""
    return all(at >= due - 0.001 for at, due in zip(found, expected, strict=True))


async def starts(pool, clock, calls):
    """When each of ``calls``, by their arguments, starts, in seconds from now."""
    begun, found = clock.now(), []

    async def note(argument):
        found.append((argument, round(clock.now() - begun, 3)))
        return argument

    await asyncio.gather(*(pool.run(note, call) for call in calls))
    return found


def test_calls_start_when_every_rate_allows_what_they_weigh():
    """Four a second by number, ten a second by length: a long one waits, and nobody overtakes it."""

    async def main(clock):
        rates = [Rate(4, per=1.0, burst=4), Rate(10, per=1.0, burst=10, weigh=len)]
        async with AsyncPool(10, rate=rates) as pool:
            return await starts(pool, clock, ["aaaaaa", "bbbbbb", "c"])

    found = in_fake_time(main)

    assert [name for name, _ in found] == ["aaaaaa", "bbbbbb", "c"]
    assert not_before([at for _, at in found], [0.0, 0.2, 0.3])


def test_items_of_a_stream_are_weighed_too():
    """When they have their permit; what is owed is paid back before the next one."""

    async def main(clock):
        begun, found = clock.now(), []

        async def note(item):
            found.append(round(clock.now() - begun, 3))
            return item

        async with AsyncPool(10, rate=Rate(10, per=1.0, burst=1, weigh=len)) as pool:
            await pool.gather(note, ["aaaaa", "bbbbb", "c"])
        return found

    assert not_before(in_fake_time(main), [0.0, 0.5, 1.0])


def test_a_submitted_call_is_weighed_too():
    """Every way into the pool."""

    async def main(clock):
        begun = clock.now()
        async with AsyncPool(
            10, rate=Rate(10, per=1.0, burst=5, weigh=lambda _, text: len(text))
        ) as pool:
            await asyncio.gather(*(pool.submit(asyncio.sleep, 0, "aaaaa") for _ in range(3)))
        return clock.now() - begun

    assert in_fake_time(main) >= 0.999


def test_a_weigh_that_fails_is_the_callers_error_and_nothing_is_lost():
    """Before the call has a place."""

    async def main(_):
        async with AsyncPool(2, rate=Rate(10, weigh=len)) as pool:
            with pytest.raises(TypeError):
                await pool.run(asyncio.sleep, 5)
            return pool.stats()

    stats = in_fake_time(main)

    assert (stats.submitted, stats.in_flight) == (0, 0)


def test_an_error_that_asks_to_wait_pauses_the_pool():
    """The service knows best."""

    async def main(clock):
        async def refuse(_):
            raise TooMany(retry_after=7)

        async with AsyncPool(10, rate=Rate(100)) as pool:
            with pytest.raises(TooMany):
                await pool.run(refuse, 0)
            return await starts(pool, clock, ["next"])

    assert in_fake_time(main)[0][1] >= 6.999


def test_the_headers_of_a_refusal_pause_the_pool():
    """As the model SDKs have them: on the response of the error."""

    async def main(clock):
        async def refuse(_):
            raise TooMany(response=Answer(retry_after="3"))

        async with AsyncPool(10, rate=Rate(100)) as pool:
            with pytest.raises(TooMany):
                await pool.run(refuse, 0)
            return await starts(pool, clock, ["next"])

    assert in_fake_time(main)[0][1] >= 2.999


def test_a_refusal_of_another_pool_does_not_pause_this_one():
    """It is no word of the service."""

    async def main(clock):
        async def refuse(_):
            raise RateLimited("of another pool", retry_after=60)

        async with AsyncPool(10, rate=Rate(100)) as pool:
            with pytest.raises(RateLimited):
                await pool.run(refuse, 0)
            return await starts(pool, clock, ["next"])

    assert in_fake_time(main)[0][1] < 1.0


def test_what_good_answers_say_tightens_the_rate():
    """Two are left of a hundred a minute, so the third waits."""

    async def main(clock):
        async with AsyncPool(10, rate=Rate(600, per=60.0, burst=10)) as pool:
            hints = pool.learn_rate(
                {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "2"}
            )
            return hints, await starts(pool, clock, ["a", "b", "c"])

    hints, found = in_fake_time(main)

    assert hints[0].remaining == 2
    assert not_before([at for _, at in found], [0.0, 0.0, 0.6])


def test_tokens_that_are_left_tighten_the_rate_that_weighs():
    """Requests and tokens are told apart."""

    async def main(clock):
        rates = [Rate(100, per=1.0, burst=100), Rate(1000, per=1.0, burst=1000, weigh=len)]
        async with AsyncPool(10, rate=rates) as pool:
            pool.learn_rate({"anthropic-ratelimit-input-tokens-remaining": "10"}, per=1.0)
            return await starts(pool, clock, ["a" * 10, "b" * 10])

    found = in_fake_time(main)

    assert found[1][1] >= 0.01


async def test_a_pool_without_a_rate_learns_nothing():
    """And says so."""
    async with AsyncPool(1) as pool:
        assert pool.learn_rate({"retry-after": "5"}) == ()


def test_a_pool_of_threads_is_paced_alike():
    """Weights, and pauses."""

    def refuse():
        raise TooMany(retry_after=0.05)

    with ThreadPool(2, rate=[Rate(1000), Rate(1000, burst=1000, weigh=lambda *_: 10)]) as pool:
        with pytest.raises(TooMany):
            pool.submit(refuse).result(10)
        assert pool.submit(int, "3").result(10) == 3
        assert list(pool.stream(int, ["1", "2"])) == [1, 2]
        assert pool.learn_rate({"ratelimit-remaining": "5"})[0].what == "requests"


@pytest.mark.parametrize("wrong", [5, "60/min", [], [3]])
def test_a_rate_that_is_none_is_refused(wrong):
    """With what would do."""
    with pytest.raises(TypeError, match="rate must be a Rate or several"):
        AsyncPool(1, rate=wrong)
