"""What others may ask of a pool's limits: to be restricted for a while, to learn, to show how they went."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from holdfast._core import check

if TYPE_CHECKING:
    from holdfast.limits.adaptive import LimitChange
    from holdfast.limits.rate_headers import RateHint
    from holdfast.pools._admission import Admission
    from holdfast.pools._options import Options

__all__ = ("Governed",)


class Governed:
    """Mixed into every kind of pool."""

    _options: "Options"

    @property
    def _admission(self) -> "Admission":
        raise AssertionError  # every kind of pool has its own

    def _go_on(self) -> None:
        """There may be room for more."""
        raise AssertionError  # likewise

    def restrict(self, cap: int | None) -> None:
        """Allow fewer in flight for now, whatever the limit is; the limit comes back when that is lifted.

        For whoever governs several pools under pressure. Permits that are kept for clean-up stay. May be called
        from any thread.

        Args:
            cap: Most calls in flight until further notice, 0 to start nothing; None lifts it.
        """
        self._admission.restrict(None if cap is None else check.count("cap", cap))
        self._go_on()

    @property
    def closed(self) -> bool:
        """Whether the pool admits nothing any more."""
        return self._admission.closed

    @property
    def set_limit(self) -> int:
        """The limit that was set, or that the calls have led to; in force if nothing restricts it."""
        return self._admission.own_limit

    def limit_changes(self) -> "tuple[LimitChange, ...]":
        """Return the last 256 changes of an adaptive limit, the oldest first, each with what it was made for.

        Returns:
            None of them for a pool with a fixed limit.
        """
        return () if self._options.meter is None else self._options.meter.changes()

    def learn_rate(
        self, headers: Mapping[str, str], *, per: float | None = None
    ) -> "tuple[RateHint, ...]":
        """Keep to what an answer of the service says of its rate limits, where that is tighter than ``rate``.

        An error with a ``response`` teaches the pool by itself; give it the headers of good answers, too, and
        it slows down before it is refused. May be called from any thread.

        Args:
            headers: Of any answer: those of Anthropic, those of OpenAI and everybody who follows it, or the
                plain ``ratelimit-*``. What can't be read is left aside.
            per: Seconds that the service's limits are for; None takes those of the pool's own rates.

        Returns:
            What they said; empty, too, for a pool without a rate.
        """
        pace = self._options.pace
        return () if pace is None else pace.learn(headers, per=per)
