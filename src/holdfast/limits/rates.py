"""Several rates at once: so many requests and so many tokens a minute."""

from collections.abc import Sequence
from typing import Any, Protocol

from holdfast.limits.rate import Rate, RateGate

__all__ = ("Gate", "Rates", "Weights", "check_rates", "gate_of")

Weights = tuple[float, ...]
"""What a call weighs in each of the rates, in their order."""


class Gate(Protocol):
    """What an admission asks before a start. Not safe from several threads: its lock is held."""

    def wait(self, now: float, weights: Weights | None = None) -> float:
        """Seconds until a start is allowed, 0.0 if one is allowed at ``now``."""
        ...

    def take(self, now: float, weights: Weights | None = None) -> float:
        """Take one start and return 0.0, or take none and return the seconds to wait."""
        ...

    def pause(self, until: float) -> None:
        """Allow no start before ``until``."""
        ...


class Rates:
    """The counters of several rates: a start is allowed when all of them allow it, or takes of none.

    Not safe from several threads: its owner holds a lock.

    Args:
        rates: The rates, at least one.
    """

    __slots__ = ("gates", "rates", "weighs")

    def __init__(self, rates: Sequence[Rate]) -> None:
        self.rates = tuple(rates)
        self.gates: tuple[RateGate, ...] = tuple(rate.gate() for rate in rates)
        self.weighs = any(rate.weigh is not None for rate in rates)

    def weights_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Weights:
        """What a call with these arguments weighs in each rate.

        Raises:
            TypeError: A ``weigh`` returned no number.
            ValueError: It returned less than 0.
            Exception: Whatever it raised.
        """
        return tuple(_weigh(rate, args, kwargs) for rate in self.rates)

    def wait(self, now: float, weights: Weights | None = None) -> float:
        """Seconds until a start is allowed, 0.0 if one is allowed at ``now``."""
        return max(
            gate.wait(now, weight)
            for gate, weight in zip(self.gates, self._or_ones(weights), strict=True)
        )

    def take(self, now: float, weights: Weights | None = None) -> float:
        """Take one start and return 0.0, or take none and return the seconds to wait."""
        wait = self.wait(now, weights)
        if wait == 0.0:
            self.charge(now, self._or_ones(weights))
        return wait

    def charge(self, now: float, weights: Weights) -> None:
        """Take so much of each rate without asking."""
        for gate, weight in zip(self.gates, weights, strict=True):
            gate.charge(now, weight)

    def pause(self, until: float) -> None:
        """Allow no start before ``until``."""
        for gate in self.gates:
            gate.pause(until)

    def _or_ones(self, weights: Weights | None) -> Weights:
        return weights if weights is not None else (1.0,) * len(self.gates)


def gate_of(rate: object) -> Rates | None:
    """Return the counters for what a pool was given as ``rate``; None for none at all.

    Raises:
        TypeError: It is something else than a rate or several.
    """
    rates = check_rates(rate)
    return Rates(rates) if rates else None


def _weigh(rate: Rate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    if rate.weigh is None:
        return 1.0
    weight: Any = rate.weigh(*args, **kwargs)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        msg = f"weigh must return a number of at least 0, not {weight!r}"
        raise TypeError(msg)
    if not 0 <= weight < float("inf"):
        msg = f"weigh must return a number of at least 0, not {weight!r}"
        raise ValueError(msg)
    return float(weight)


def check_rates(rate: object) -> tuple[Rate, ...]:
    """Return what a pool was given as ``rate``: one, several, or None for none at all.

    Raises:
        TypeError: It is something else.
    """
    if rate is None:
        return ()
    given: tuple[Any, ...] = (rate,) if isinstance(rate, Rate) else _several(rate)
    if not given or not all(isinstance(one, Rate) for one in given):
        msg = f"rate must be a Rate or several of them, such as [Rate(60, per=60)], not {rate!r}"
        raise TypeError(msg)
    return given


def _several(rate: object) -> tuple[Any, ...]:
    return tuple(rate) if isinstance(rate, (list, tuple)) else ()  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - each is looked at next
