"""Which places grow: found twice in a row before it is told, and held until it has stopped for a while.

States of a place: unknown -> suspected (found once) -> told (found again at the next look) -> unknown,
once it was not found for half an hour, or for twice the stretch by which it was found if that is longer.
A place that was told to be strong stays so while it is told.
"""

from collections.abc import Callable, Iterable
from typing import Final

from holdfast.watch._ages import Ages, Place
from holdfast.watch._survivors import Stretch, growth_of, half_closed_growth
from holdfast.watch.verdict import Evidence

__all__ = ("Alarm", "Alarms", "strongest")

_MUTED: Final = 3600.0
_MUTED_UNLESS_WITHIN: Final = 1800.0
_YOUNG: Final = 3 * 3600.0
_SURE_FROM: Final = 150.0
_HELD: Final = 1800.0
_RANKS: Final[dict[Evidence, int]] = {"none": 0, "weak": 1, "strong": 2, "certain": 3}


class Alarm:
    """A place that was found to grow.

    Attributes:
        place: Which.
        stretch: How, when it was last found.
        evidence: How sure it is; none as long as it was found once.
        since: When it was first found.
        found_at: When it was last found.
    """

    __slots__ = ("evidence", "found_at", "place", "since", "stretch")

    def __init__(self, place: Place, stretch: Stretch, at: float) -> None:
        self.place = place
        self.stretch = stretch
        self.evidence: Evidence = "none"
        self.since = self.found_at = at

    @property
    def held_for(self) -> float:
        """How long it is told after it was last found, in seconds."""
        return max(_HELD, 2.0 * (self.stretch.until - self.stretch.since))


class Alarms:
    """The alarms of all places of one series."""

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self._alarms: dict[str, Alarm] = {}

    def __bool__(self) -> bool:
        return bool(self._alarms)

    @property
    def told(self) -> list[Alarm]:
        """Those that are told."""
        return [alarm for alarm in self._alarms.values() if alarm.evidence != "none"]

    def look(
        self, ages: Ages, at: float, left: float, higher_than_ever: Callable[[], bool]
    ) -> None:
        """Look at every place."""
        known = ages.known_until(at)
        for place in self._worth_a_look(ages):
            stretch = half_closed_growth(place, at) or growth_of(
                place,
                known,
                left,
                higher_than_ever,
                strict=at - self._begun < _YOUNG,
            )
            if stretch is not None and not self._is_muted(stretch, at, left):
                self._found(place, stretch, at)
            else:
                self._not_found(place.name, at)

    def _worth_a_look(self, ages: Ages) -> Iterable[Place]:
        known = [alarm.place for alarm in self._alarms.values()]
        return [*known, *(each for each in ages.places.values() if each.name not in self._alarms)]

    def _is_muted(self, stretch: Stretch, at: float, left: float) -> bool:
        """In the first hour only what can't wait is told: everything grows then."""
        if stretch.half_closed or at - self._begun >= _MUTED:
            return False
        return left / stretch.per_s > _MUTED_UNLESS_WITHIN

    def _found(self, place: Place, stretch: Stretch, at: float) -> None:
        alarm = self._alarms.get(place.name)
        if alarm is None:
            self._alarms[place.name] = Alarm(place, stretch, at)
            return
        alarm.stretch, alarm.found_at = stretch, at
        found = self._grade(stretch, at)
        if _RANKS[found] > _RANKS[alarm.evidence]:
            alarm.evidence = found

    def _grade(self, stretch: Stretch, at: float) -> Evidence:
        if stretch.half_closed:
            return "certain"
        sure = stretch.age >= _SURE_FROM and at - self._begun >= _YOUNG
        return "strong" if sure else "weak"

    def _not_found(self, name: str, at: float) -> None:
        alarm = self._alarms.get(name)
        if alarm is None:
            return
        all_closed = not alarm.place.births
        if alarm.evidence == "none" or all_closed or at - alarm.found_at > alarm.held_for:
            del self._alarms[name]


def strongest(alarms: Iterable[Alarm]) -> Evidence:
    """The surest evidence among some alarms."""
    found: Evidence = "none"
    for alarm in alarms:
        if _RANKS[alarm.evidence] > _RANKS[found]:
            found = alarm.evidence
    return found
