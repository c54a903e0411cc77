"""What a trend says: a frozen record, and the sentence for a person."""

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ("Evidence", "Growth", "Verdict")

Evidence = Literal["none", "weak", "strong", "certain"]
"""How sure it is that what grows is leaked.

- ``"none"``: nothing grows, or no more than noise does;
- ``"weak"``: growing, not yet flat; by a count alone, or while the program is young;
- ``"strong"``: survivors of one place, at an even pace, of which hardly any is ever closed;
- ``"certain"``: more and more sockets that the peer closed over a minute ago.
"""


@dataclass(frozen=True, slots=True)
class Growth:
    """The part of a growth that comes from one place.

    Attributes:
        place: Where it was made, or what it is for.
        state: The state in which most of it is; empty if it has none.
        per_minute: Its pace.
        share: The part of the growth of all places that is here and in that state, 0 to 1.
        survivors: How many were made there in the last stretch of time, and live.
        evidence: How sure it is, for this place.
    """

    place: str
    state: str
    per_minute: float
    share: float
    survivors: int
    evidence: Evidence

    def __str__(self) -> str:
        return f"{self.place} in {self.state}" if self.state else self.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Where a series is heading, and how sure that is.

    Intervals hold the true value nine times in ten, as long as the growth goes on as it does.

    Attributes:
        name: What is counted.
        at: When this was said, on the clock of the samples.
        value: How much of it there was.
        limit: The most that there may be; None where nothing sets a bound.
        evidence: Whether it grows, and how sure that is a leak.
        since: When the growth was first told; None without growth.
        per_minute: How fast it grows; 0.0 without growth.
        per_minute_low: Lower end of that.
        per_minute_high: Upper end.
        left_s: Seconds until the limit is reached; None without growth or without a limit.
        left_low_s: The sooner end of that.
        left_high_s: The later end.
        growth: By place, the largest part first.
    """

    name: str
    at: float
    value: float
    limit: float | None = None
    evidence: Evidence = "none"
    since: float | None = None
    per_minute: float = 0.0
    per_minute_low: float = 0.0
    per_minute_high: float = 0.0
    left_s: float | None = None
    left_low_s: float | None = None
    left_high_s: float | None = None
    growth: tuple[Growth, ...] = ()

    @property
    def growing(self) -> bool:
        """Whether it grows beyond what noise does."""
        return self.evidence != "none"

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["growth"] = [
            {name: getattr(each, name) for name in each.__slots__} for each in self.growth
        ]
        return fields | {"text": str(self)}

    def __str__(self) -> str:
        if not self.growing:
            return f"{self.name}: {amount(self.name, self.value)}, no growth beyond noise"
        grow = "grow" if self.name.endswith("s") else "grows"
        told = [f"{self.name} {grow} {self._pace()} a minute"]
        if self.evidence == "weak":
            told[0] += ", not yet flat"
        if self.limit is not None and self.left_s is not None:
            told.append(self._forecast(self.limit, self.left_s))
        if self.growth:
            told.append(self._blame(self.growth[0]))
        return "; ".join(told)

    def _pace(self) -> str:
        return amount(self.name, self.per_minute)

    def _forecast(self, limit: float, left_s: float) -> str:
        if left_s <= 0.0:
            return f"the limit of {amount(self.name, limit)} is reached"
        soon, late = self.left_low_s or 0.0, self.left_high_s
        unit, seconds = _unit(left_s)
        ends = (
            f"{soon / seconds:.0f} to {late / seconds:.0f}"
            if late
            else f"{soon / seconds:.0f} or more"
        )
        about = f"{left_s / seconds:.0f} {unit}"
        return f"the limit of {amount(self.name, limit)} is reached in about {about} ({ends})"

    @staticmethod
    def _blame(growth: Growth) -> str:
        return f"{growth.share * 100:.0f} per cent of the growth is {growth}"


def amount(name: str, value: float) -> str:
    """Say a figure: bytes in MB or GB, all else as a number with the digits that matter."""
    if name == "memory":
        return f"{value / _GB:,.3g} GB" if abs(value) >= _GB else f"{value / _MB:,.3g} MB"
    return f"{value:,.0f}" if abs(value) >= _WHOLE or value == int(value) else f"{value:.2g}"


_MB, _GB, _WHOLE = 1e6, 1e9, 10.0
_UNITS = (("days", 86400.0, 3 * 86400.0), ("hours", 3600.0, 3 * 3600.0), ("minutes", 60.0, 180.0))


def _unit(seconds: float) -> tuple[str, float]:
    for unit, length, least in _UNITS:
        if seconds >= least:
            return unit, length
    return "seconds", 1.0
