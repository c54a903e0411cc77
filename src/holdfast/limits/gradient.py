"""The gradient: as many calls as the server works on without queueing, found by how long they take."""

import math
from dataclasses import dataclass, replace

from holdfast._core import check
from holdfast.limits.call_window import CallWindow

__all__ = ("Gradient", "GradientState")

_DEEPEST = 0.05
"""No window is trusted to cut the limit to less than this share."""

_ALARM = 2.0
"""A call that takes so many times the base, and once more where times scatter widely, is a sign that the server
is no longer what it was."""

_DEEP = 0.7
"""A cut, in one step or in several, to less than this share of the limit must show in the running times."""

_BACK = 0.9
"""Above this share of what it was the limit does not fall any more."""

_LOST = 0.6
"""Slow calls cut the limit if the server ends less than this share of what it did; less is told by times."""

_FIRST_PROBE = 8
"""Windows after which the base is measured again for the first time, and twice as many each time after."""

_AS_MANY = 0.87
"""A probe with this share of the calls that were ended before has not emptied the queue yet."""

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
        probes: How often it was measured, 16 at most.
        before_probe: The limit to return to after a probe; None while there is none.
        before_cut: The limit before it began to fall, and what the calls took then; None if it does not.
        useless_cuts: Deep cuts in a row after which calls took hardly less time.
        per_s: Calls a second that the server ended in the window before a probe.
        scatter: By which share of their mean running times scatter, 1 at most.
    """

    limit: float
    base_s: float | None = None
    strides: int = 0
    since_probe: int = 0
    probes: int = 0
    before_probe: float | None = None
    before_cut: tuple[float, float] | None = None
    useless_cuts: int = 0
    per_s: float = 0.0
    scatter: float = 0.0

    @property
    def alarm_s(self) -> float:
        """Seconds that no call should take, if the server is still what it was."""
        return math.inf if self.base_s is None else (_ALARM + self.scatter) * self.base_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """Limit = limit x base / now + room: by Little's law, the calls that are worked on, and a few more.

    ``base`` is what a call takes while nothing queues at the server, ``now`` what it took in the last
    window. If twenty in flight take twice the base, ten are worked on and ten wait; so ten are enough.
    ``room`` is one call for each stride: it keeps a small queue at the server, by whose shortness the
    gradient sees that there is more to be had, and doubles while nothing resists. ``now`` is taken less its
    standard error: what may be chance is no queue.

    A window that slow calls have ended early says where the server is, before times can: limit = ended a
    second x base, if that is far below what it was. Where a pause made them slow they end all at once, and
    nothing is cut. Slow is what takes twice the base, and up to three times where times scatter.

    What its users asked for elsewhere, and have here:

    - the limit is never raised above five times what is in flight, and not at all while the program
      itself has no more to do;
    - the base can't creep up while the server queues: it is measured again at three quarters of the
      load, every ``probe_every`` windows, at first sooner, and is never above ``healthy_s``; where the
      server ends as many calls then as before it still queues, and less and less is given to it until
      it does not;
    - where calls take longer for a reason that is not the load (two cuts of three tenths or more did
      not shorten them by half of what they would have), the base becomes what they take, and the limit
      is not starved;
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

    tolerance: float = 1.05
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
        state = replace(state, scatter=(state.scatter + window.scatter) / 2.0)
        if state.before_probe is not None:
            return self._probed(state, window, ran_s)
        if not window.is_busy:
            return self._idle(state, ran_s)
        if self._is_to_probe(state):
            return self._probe(state, window, ran_s)
        return self._follow(state, window, ran_s)

    def _is_to_probe(self, state: GradientState) -> bool:
        grows = state.strides > 1  # nothing queues, so there is no hurry
        sooner = self.probe_every if grows else _FIRST_PROBE << state.probes
        return state.since_probe + 1 >= min(self.probe_every, sooner)

    def _refused(self, state: GradientState) -> GradientState:
        limit = state.limit if state.before_probe is None else state.before_probe
        return replace(state, limit=limit * self.cut, strides=0, before_probe=None, before_cut=None)

    def _idle(self, state: GradientState, ran_s: float) -> GradientState:
        """The program has no more to do: nothing queues, so this is a look at the base."""
        return replace(state, base_s=self._nearer(state, ran_s), strides=0, before_cut=None)

    def _probe(self, state: GradientState, window: CallWindow, ran_s: float) -> GradientState:
        """Leave a quarter of the server idle for one window, so that its queue runs dry."""
        worked_on = state.limit * min(1.0, (state.base_s or ran_s) / ran_s)
        return replace(
            state,
            limit=max(1.0, 0.75 * worked_on),
            before_probe=state.limit,
            since_probe=0,
            probes=min(state.probes + 1, 16),
            before_cut=None,
            per_s=window.per_s,
        )

    def _probed(self, state: GradientState, window: CallWindow, ran_s: float) -> GradientState:
        """A look at the base; if the server ends as many as before it still queues, and the probe goes deeper."""
        before = state.before_probe or state.limit
        if window.is_busy and state.limit > 1.0 and window.per_s > _AS_MANY * state.per_s:
            limit = max(1.0, 0.75 * state.limit)
            return replace(state, limit=limit, before_probe=min(before, 1.5 * state.limit))
        sure_s = max(
            ran_s - 0.5 * window.noise_s, min(ran_s, state.base_s or ran_s)
        )  # not longer by chance
        return replace(state, limit=before, base_s=self._nearer(state, sure_s), before_probe=None)

    def _alarmed(self, state: GradientState, window: CallWindow, per_s: float) -> GradientState:
        """All calls are slow: as many as the server ends now, in the time that one took while none queued.

        Where the calls were held up by a pause, of this process or on the way, they end all at once; so
        nothing is cut for it.
        """
        ran_s = window.ran_s or 0.0
        limit = state.limit if state.before_probe is None else state.before_probe
        state = replace(
            self._judged(state, window, ran_s), limit=limit, strides=0, before_probe=None
        )
        wanted = max(_DEEPEST * limit, self.tolerance * per_s * (state.base_s or 0.0))
        if wanted > _LOST * limit:
            return state
        return replace(state, limit=max(1.0, wanted), before_cut=state.before_cut or (limit, ran_s))

    def _follow(self, state: GradientState, window: CallWindow, ran_s: float) -> GradientState:
        state = self._judged(state, window, ran_s)
        base = state.base_s or 0.0
        if ran_s + 2.0 * window.noise_s < 0.8 * base:
            base = self._nearer(state, ran_s)  # faster than it is known to be: known to be wrong
        sure_s = max(0.0, ran_s - window.noise_s)  # longer than the base by more than chance
        gradient = min(1.0, max(_DEEPEST, self.tolerance * base / sure_s)) if sure_s > 0.0 else 1.0
        strides = min(state.strides + 1, 16) if gradient == 1.0 else 0
        wanted = state.limit * gradient + self._room(state.limit, strides)
        wanted = min(wanted, max(state.limit, 5.0 * window.most_in_flight))
        before = state.before_cut or (state.limit, ran_s)
        return replace(
            state,
            limit=wanted,
            base_s=base,
            strides=strides,
            since_probe=state.since_probe + 1,
            before_cut=before if wanted < _BACK * before[0] else None,
        )

    # ------------------------------------------------------------ arithmetic

    @staticmethod
    def _room(limit: float, strides: int) -> float:
        least = max(1.0, 0.5 * math.sqrt(limit) - 1.0)
        return min(least * 2.0 ** max(0, strides - 1), max(least, limit / 2.0))

    def _judged(self, state: GradientState, window: CallWindow, ran_s: float) -> GradientState:
        """Whether a deep cut has shortened the calls, as it does where the load has made them long.

        Where they wait for each other they take half the time when there are half as many. Two deep cuts that
        did less than half of that show that the load is not the cause: what the calls take is the base now.
        """
        if state.before_cut is None:
            return state
        limit, before_s = state.before_cut
        if ran_s - window.noise_s > before_s:
            return replace(state, before_cut=(state.limit, ran_s))  # it still gets worse
        share = state.limit / limit
        if share > _DEEP:
            return state
        shorter = ran_s + window.noise_s < math.sqrt(share) * before_s
        useless = 0 if shorter else state.useless_cuts + 1
        if useless > 1:
            return replace(state, base_s=self._healthy(ran_s), before_cut=None, useless_cuts=0)
        return replace(state, before_cut=None, useless_cuts=useless)

    def _nearer(self, state: GradientState, ran_s: float) -> float:
        """The base after one more look at it: half way, so that one odd window is not believed."""
        base = ran_s if state.base_s is None else (state.base_s + ran_s) / 2.0
        return self._healthy(base)

    def _healthy(self, ran_s: float) -> float:
        return ran_s if self.healthy_s is None else min(ran_s, self.healthy_s)
