"""How long an answer takes: a number, or a distribution to draw numbers from."""

import math
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias, cast

__all__ = ("LONGEST_S", "Latency")

# No draw is longer: a lognormal has no upper end, and nothing may wait without a bound.
LONGEST_S = 600.0

_FORMS = "SECONDS, uniform:LOW:HIGH, exponential:MEAN or lognormal:MEDIAN:SIGMA"
Kind: TypeAlias = Literal["constant", "uniform", "exponential", "lognormal"]
_PARAMETERS = {"constant": 1, "uniform": 2, "exponential": 1, "lognormal": 2}


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of durations in seconds; no draw is below 0 or above ``LONGEST_S``.

    Args:
        kind: ``"constant"`` (first: the duration), ``"uniform"`` (first: lowest, second: highest),
            ``"exponential"`` (first: mean) or ``"lognormal"`` (first: median, second: standard
            deviation of the logarithm, 0 to 5). A lognormal of sigma 0.6 is a usual picture of a
            model's service: most answers near the median, a few several times slower.
        first: Seconds, 0 to 600.
        second: See ``kind``.

    Raises:
        ValueError: A parameter is out of its range.

    Example:
        >>> Latency.parse("uniform:0.02:0.2")
        Latency(kind='uniform', first=0.02, second=0.2)
    """

    kind: Kind
    first: float
    second: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.first <= LONGEST_S:
            msg = f"a latency must be 0 to {LONGEST_S:g} seconds, not {self.first!r}"
            raise ValueError(msg)
        if self.kind == "uniform" and not self.first <= self.second <= LONGEST_S:
            msg = (
                f"the high end of a uniform latency must be {self.first:g} (its low end) to "
                f"{LONGEST_S:g} seconds, not {self.second!r}"
            )
            raise ValueError(msg)
        if self.kind == "lognormal" and not 0 <= self.second <= 5:  # noqa: PLR2004 - beyond it, noise
            msg = f"sigma of a lognormal latency must be 0 to 5, not {self.second!r}"
            raise ValueError(msg)

    @classmethod
    def parse(cls, given: "float | str | Latency") -> "Latency":
        """Read a number of seconds or one of the written forms.

        Raises:
            ValueError: It is none of them, or a parameter is out of its range.
            TypeError: It is neither a number nor text.
        """
        if isinstance(given, Latency):
            return given
        if isinstance(given, bool) or not isinstance(given, (int, float, str)):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            msg = f"a latency is given as {_FORMS}, not as {given!r}"
            raise TypeError(msg)
        kind, colon, rest = str(given).partition(":")
        if not colon:
            kind, rest = "constant", kind
        try:
            numbers = [float(number) for number in rest.split(":")]
        except ValueError:
            numbers = []
        if len(numbers) != _PARAMETERS.get(kind):
            msg = f"a latency is given as {_FORMS}, not as {given!r}"
            raise ValueError(msg)
        return cls(cast("Kind", kind), *numbers)

    def __str__(self) -> str:
        if self.kind == "constant":
            return repr(self.first)
        parameters = (self.first, self.second)[: _PARAMETERS[self.kind]]
        return ":".join((self.kind, *map(repr, parameters)))

    def draw(self, rng: Random) -> float:
        """Draw one duration in seconds."""
        if self.kind == "constant":
            return self.first
        if self.kind == "uniform":
            return rng.uniform(self.first, self.second)
        if self.kind == "exponential":
            return min(-math.log(1.0 - rng.random()) * self.first, LONGEST_S)
        return min(self.first * math.exp(rng.gauss(0.0, self.second)), LONGEST_S)
