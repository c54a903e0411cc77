"""The gradient: as many calls as the server works on without queueing, found by how long they take."""

import math
from dataclasses import dataclass, replace

from holdfast._core import check
from holdfast.limits.call_window import CallWindow

__all__ = ("Gradient", "GradientState")

_DEEPEST = 0.05
"""No window is trusted to cut the limit to less than this share."""

_ALARM = 3.0
"""A call that takes so many times the base is a sign that the server is no longer what it was."""

_FEW_OVERLOADS = 0.02
"""The share of refused calls in a window up to which nothing is done about them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientState:
    """Where the gradient is.

    Attributes:
        limit: The limit, not rounded.
        base_s: Seconds that a call takes while nothing queues, as far as is known.
        strides: Windows in a row that have raised the limit.
        since_probe: Windows since the base was last measured.
        before_probe: The limit to return to after a probe; None while there is none.
        before_cut_s: What the calls took before the last cut; None if the last step was none.
        useless_cuts: Cuts in a row after which calls took no less time.
    """

    limit: float
    base_s: float | None = None
    strides: int = 0
    since_probe: int = 0
    before_probe: float | None = None
    before_cut_s: float | None = None
    useless_cuts: int = 0

    @property
    def alarm_s(self) -> float:
        """Seconds that no call should take, if the server is still what it was."""
        return math.inf if self.base_s is None else _ALARM * self.base_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """Limit = limit x base / now + room: by Little's law, the calls that are worked on, and a few more.

    ``base`` is what a call takes while nothing queues at the server, ``now`` what it took in the last
    window. If twenty in flight take twice the base, ten are worked on and ten wait; so ten are enough.
    ``room`` is one call for each stride: it keeps a small queue at the server, by whose shortness the
    gradient sees that there is more to be had, and doubles while nothing resists. ``now`` is taken less its
    standard error: what may be chance is no queue.

    A window that slow calls have ended early says where the server is, before times can: limit = ended a
    second x base. Where a pause made them slow they end all at once, and nothing is cut.

    What its users asked for elsewhere, and have here:

    - the limit is never raised above five times what is in flight, and not at all while the program
      itself has no more to do;
    - the base can't creep up while the server queues: it is measured again at three quarters of the
      load, every ``probe_every`` windows, and is never above ``healthy_s``;
    - where calls take longer for a reason that is not the load (two cuts did not shorten them), the
      base becomes what they take, and the limit is not starved;
    - refused calls (429, 503, timeouts) cut it, whatever the running times say.

    Args:
        tolerance: By which factor calls may take longer than the base before the limit falls, 1 or more.
        cut: The limit is multiplied by this after a window with overloads, 0 to 1.
        probe_every: Windows after which the base is measured again, at least 2.
        healthy_s: Seconds above which a running time is never taken for a base; None is no bound.

    Source:
        Netflix concurrency-limits, ``Gradient2Limit``; Envoy's adaptive concurrency filter, which
        measures its base by probes; Little, "A proof for the queuing formula L = lambda W" (1961).
    """

    tolerance: float = 1.1
    cut: float = 0.8
    probe_every: int = 60
    healthy_s: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tolerance) and self.tolerance >= 1):
            msg = f"tolerance must be 1 or more, not {self.tolerance!r}"
            raise ValueError(msg)
        if not 0 < self.cut < 1:
            msg = f"cut must be between 0 and 1, not {self.cut!r}"
            raise ValueError(msg)
        check.count("probe_every", self.probe_every, least=2)
        check.seconds("healthy_s", self.healthy_s)

    def start(self, limit: int) -> GradientState:
        """Return the state before any window."""
        return GradientState(limit=float(limit))

    def step(self, state: GradientState, window: CallWindow) -> GradientState:
        """Return the state after ``window``; what is in it alone decides."""
        if window.overloads > _FEW_OVERLOADS * (window.calls + window.overloads):
            return self._refused(state)
        if window.ran_s is None:
            return state
        if state.base_s is None:
            state = replace(state, base_s=self._healthy(window.ran_s))
        if window.alarm_per_s is not None:
            return self._alarmed(state, window, window.alarm_per_s)
        return self._told(state, window, window.ran_s)

    # ------------------------------------------------------------ one step

    def _told(self, state: GradientState, window: CallWindow, ran_s: float) -> GradientState:
        """A window that came to its own end."""
        if state.before_probe is not None:
            return self._probed(state, ran_s)
        if not window.is_busy:
            return self._idle(state, ran_s)
        if state.since_probe + 1 >= self.probe_every:
            return self._probe(state, ran_s)
        return self._follow(state, window)

    def _refused(self, state: GradientState) -> GradientState:
        limit = state.limit if state.before_probe is None else state.before_probe
        return replace(
            state, limit=limit * self.cut, strides=0, before_probe=None, before_cut_s=None
        )

    def _idle(self, state: GradientState, ran_s: float) -> GradientState:
        """The program has no more to do: nothing queues, so this is a look at the base."""
        return replace(state, base_s=self._nearer(state, ran_s), strides=0, before_cut_s=None)

    def _probe(self, state: GradientState, ran_s: float) -> GradientState:
        """Leave a quarter of the server idle for one window, so that its queue runs dry."""
        worked_on = state.limit * min(1.0, (state.base_s or ran_s) / ran_s)
        return replace(
            state,
            limit=max(1.0, 0.75 * worked_on),
            before_probe=state.limit,
            since_probe=0,
            before_cut_s=None,
        )

    def _probed(self, state: GradientState, ran_s: float) -> GradientState:
        return replace(
            state,
            limit=state.before_probe or state.limit,
            base_s=self._nearer(state, ran_s),
            before_probe=None,
        )

    def _alarmed(self, state: GradientState, window: CallWindow, per_s: float) -> GradientState:
        """All calls are slow: as many as the server ends now, in the time that one took while none queued.

        Where the calls were held up by a pause, of this process or on the way, they end all at once; so
        nothing is cut for it.
        """
        ran_s, base = window.ran_s or 0.0, state.base_s or 0.0
        limit = state.limit if state.before_probe is None else state.before_probe
        useless = self._count_useless(state, ran_s)
        if useless > 1:
            base, useless = self._healthy(ran_s), 0
        wanted = min(limit, max(_DEEPEST * limit, self.tolerance * per_s * base))
        return replace(
            state,
            limit=max(1.0, wanted),
            base_s=base,
            strides=0,
            before_probe=None,
            before_cut_s=ran_s if wanted < 0.9 * limit else state.before_cut_s,
            useless_cuts=useless,
        )

    def _follow(self, state: GradientState, window: CallWindow) -> GradientState:
        ran_s, base = window.ran_s or 0.0, state.base_s or 0.0
        useless = self._count_useless(state, ran_s)
        if useless > 1:
            base, useless = self._healthy(ran_s), 0
        elif ran_s + 2.0 * window.noise_s < 0.8 * base:
            base = ran_s  # faster than it is known to be: known to be wrong
        sure_s = max(0.0, ran_s - window.noise_s)  # longer than the base by more than chance
        gradient = min(1.0, max(_DEEPEST, self.tolerance * base / sure_s)) if sure_s > 0.0 else 1.0
        strides = min(state.strides + 1, 16) if gradient == 1.0 else 0
        wanted = state.limit * gradient + self._room(state.limit, strides)
        wanted = min(wanted, max(state.limit, 5.0 * window.most_in_flight))
        return replace(
            state,
            limit=wanted,
            base_s=base,
            strides=strides,
            since_probe=state.since_probe + 1,
            before_cut_s=ran_s if wanted < 0.9 * state.limit else None,
            useless_cuts=useless,
        )

    # ------------------------------------------------------------ arithmetic

    @staticmethod
    def _room(limit: float, strides: int) -> float:
        least = max(1.0, 0.5 * math.sqrt(limit) - 1.0)
        return min(least * 2.0 ** max(0, strides - 1), max(least, limit / 2.0))

    def _count_useless(self, state: GradientState, ran_s: float) -> int:
        if state.before_cut_s is None:
            return 0
        return state.useless_cuts + 1 if ran_s > 0.9 * state.before_cut_s else 0

    def _nearer(self, state: GradientState, ran_s: float) -> float:
        """The base after one more look at it: half way, so that one odd window is not believed."""
        base = ran_s if state.base_s is None else (state.base_s + ran_s) / 2.0
        return self._healthy(base)

    def _healthy(self, ran_s: float) -> float:
        return ran_s if self.healthy_s is None else min(ran_s, self.healthy_s)
