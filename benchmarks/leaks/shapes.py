"""Eleven shapes of healthy load, and leaks: who opens a descriptor when, and when it is closed.

Every shape has the same ground: files and sockets that are open from the beginning, and short
requests. All figures of a shape are drawn anew for each seed.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ("DAY", "HOUR", "MINUTE", "SHAPES", "Descriptor", "healthy", "leak", "poisson")

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One descriptor: the place that opened it, and its life in seconds from the start of the day."""

    place: str
    opened: float
    closed: float


Shape = Callable[[random.Random], Iterator[Descriptor]]


def poisson(rng: random.Random, per_minute: float, start: float, end: float) -> Iterator[float]:
    """Moments that come by chance, so many a minute."""
    at = start + rng.expovariate(per_minute / MINUTE)
    while at < end:
        yield at
        at += rng.expovariate(per_minute / MINUTE)


def ground(rng: random.Random) -> Iterator[Descriptor]:
    """What every program has."""
    for _ in range(rng.randint(40, 120)):
        yield Descriptor("start", rng.uniform(0, 5), NEVER)
    for at in poisson(rng, rng.uniform(5, 20), 0, DAY):
        yield Descriptor("request", at, at + rng.expovariate(1 / rng.uniform(5, 40)))


def flat(rng: random.Random) -> Iterator[Descriptor]:
    """Nothing beside the ground."""
    yield from ()
    del rng


def saw(rng: random.Random, period: float, per_minute: float) -> Iterator[Descriptor]:
    """Opened one by one, closed all together: a batch, or a collector that comes by now and then."""
    start = 0.0
    while start < DAY:
        end = start + period * rng.uniform(0.8, 1.2)
        for at in poisson(rng, per_minute, start, min(end, DAY)):
            yield Descriptor("batch", at, end)
        start = end


def quick_saw(rng: random.Random) -> Iterator[Descriptor]:
    """Teeth of eight minutes."""
    return saw(rng, 8 * MINUTE, rng.uniform(8, 20))


def slow_saw(rng: random.Random) -> Iterator[Descriptor]:
    """Teeth of forty-five minutes."""
    return saw(rng, 45 * MINUTE, rng.uniform(2, 6))


def sessions(rng: random.Random) -> Iterator[Descriptor]:
    """Sessions of very different lengths: a few minutes mostly, hours now and then."""
    middle, spread = rng.uniform(8, 16) * MINUTE, rng.uniform(0.8, 1.2)
    for at in poisson(rng, rng.uniform(2, 6), 0, DAY):
        yield Descriptor("session", at, at + rng.lognormvariate(math.log(middle), spread))


def warm_up(rng: random.Random, length: float) -> Iterator[Descriptor]:
    """Connections and cached files that stay, the more slowly joined the more there are."""
    for _ in range(rng.randint(100, 300)):
        at = rng.expovariate(3 / length)
        if at < DAY:
            yield Descriptor("cache", at, NEVER)


def quick_warm_up(rng: random.Random) -> Iterator[Descriptor]:
    """A warm-up that is done by nineteen twentieths in forty minutes."""
    return warm_up(rng, 40 * MINUTE)


def slow_warm_up(rng: random.Random) -> Iterator[Descriptor]:
    """One that takes three hours."""
    return warm_up(rng, 3 * HOUR)


def wave(rng: random.Random, period: float) -> Iterator[Descriptor]:
    """Sessions that come and go with the hour of the day."""
    most, depth, phase = rng.uniform(5, 12), rng.uniform(0.6, 0.95), rng.uniform(0, 2 * math.pi)
    length = rng.uniform(8, 20) * MINUTE
    for at in poisson(rng, most, 0, DAY):
        level = 1 - depth * (1 + math.sin(2 * math.pi * at / period + phase)) / 2
        if rng.random() < level:
            yield Descriptor("visit", at, at + rng.expovariate(1 / length))


def daily(rng: random.Random) -> Iterator[Descriptor]:
    """A wave of a day."""
    return wave(rng, DAY)


def hourly(rng: random.Random) -> Iterator[Descriptor]:
    """A wave of an hour."""
    return wave(rng, HOUR)


def steps(rng: random.Random) -> Iterator[Descriptor]:
    """Now and then a set of connections that stays, or goes after hours: a new tenant, a reload."""
    for _ in range(rng.randint(4, 8)):
        start = rng.uniform(0, DAY)
        end = start + rng.uniform(2, 10) * HOUR if rng.random() < 0.4 else NEVER
        seconds = rng.uniform(1, 120)
        for _ in range(rng.randint(20, 60)):
            yield Descriptor("tenant", start + rng.uniform(0, seconds), end)


def cron(rng: random.Random) -> Iterator[Descriptor]:
    """A job that opens many at fixed times, and is done after some minutes."""
    period = rng.choice((15, 30, 60)) * MINUTE
    start = rng.uniform(0, period)
    while start < DAY:
        length = rng.uniform(2, 12) * MINUTE
        for _ in range(rng.randint(30, 100)):
            at = start + rng.uniform(0, length / 2)
            yield Descriptor("job", at, rng.uniform(at, start + length))
        start += period


def records(rng: random.Random) -> Iterator[Descriptor]:
    """A pool of connections that keeps as many as there ever were at once."""
    running: list[float] = []
    kept = 0
    length = rng.uniform(1, 4) * MINUTE
    for at in poisson(rng, rng.uniform(10, 30), 0, DAY):
        running = [end for end in running if end > at]
        running.append(at + rng.expovariate(1 / length))
        if len(running) > kept:
            kept = len(running)
            yield Descriptor("pool", at, NEVER)


SHAPES: dict[str, Shape] = {
    "flat": flat,
    "saw-tooth, 8 minutes": quick_saw,
    "saw-tooth, 45 minutes": slow_saw,
    "sessions": sessions,
    "warm-up, 40 minutes": quick_warm_up,
    "warm-up, 3 hours": slow_warm_up,
    "daily wave": daily,
    "hourly wave": hourly,
    "steps": steps,
    "cron": cron,
    "records": records,
}


def healthy(shape: str, seed: int | str) -> list[Descriptor]:
    """A healthy day."""
    rng = random.Random(f"{shape}/{seed}")  # noqa: S311 - a simulation
    return [*ground(rng), *SHAPES[shape](rng)]


def leak(
    shape: str, seed: int | str, per_minute: float, *, place: str = "leak"
) -> tuple[float, list[Descriptor]]:
    """When a leak begins, three to twelve hours into the day, and what it leaves open.

    Args:
        shape: The shape of the healthy load that it hides in.
        seed: Of the day.
        per_minute: How many a minute.
        place: Who leaks: a place of its own, or one of the shape's.
    """
    rng = random.Random(f"leak/{per_minute}/{shape}/{seed}")  # noqa: S311 - a simulation
    begins = rng.uniform(3, 12) * HOUR
    return begins, [Descriptor(place, at, NEVER) for at in poisson(rng, per_minute, begins, DAY)]
