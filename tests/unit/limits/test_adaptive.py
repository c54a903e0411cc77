"""Adaptive limits: how a pool's limit follows from how its calls go."""

import functools
import math
from dataclasses import replace

import pytest
from benchmarks.simulated_server import Busy, Phase, adaptive, best_fixed, service_times, simulate
from hypothesis import given, strategies as st

from holdfast.errors import CallTimeout, QueueFull
from holdfast.limits.adaptive import Adaptive, is_overload
from holdfast.limits.aimd import Aimd
from holdfast.limits.call_window import CallGauge, CallWindow, mean_of, percentile_of
from holdfast.limits.gradient import Gradient
from holdfast.limits.queue_delay import QueueDelay

LAWS = [Gradient(), Aimd(), QueueDelay()]


def window(**given_):
    """A window of thirty calls under a limit of ten, all of which was used."""
    usual = {
        "limit": 10, "most_in_flight": 10, "calls": 30, "overloads": 0, "ran_s": 0.1, "delay_s": 0.0
    }  # fmt: skip
    return CallWindow(**{**usual, **given_})


def walk(law, windows, limit=10):
    """The state after all of ``windows``."""
    state = law.start(limit)
    for one in windows:
        state = law.step(state, one)
    return state


# ---------------------------------------------------------------- windows


def gauge(**given_):
    usual = {"least_calls": 4, "least_s": 1.0, "most_s": 10.0, "percentile": 50.0}
    return CallGauge(3, 0.0, **{**usual, **given_})


def test_a_window_is_complete_with_its_calls_and_its_time():
    """Neither is enough alone."""
    one = gauge()
    assert [one.end(0.0, t, overload=False) for t in (0.1, 0.2, 0.3, 0.4, 0.5)] == [None] * 5

    full = one.end(0.5, 1.0, overload=False)

    assert full is not None
    assert (full.calls, full.overloads, full.limit) == (6, 0, 3)


def test_a_window_ends_after_its_longest_time_with_what_it_has():
    """A slow program is looked at too."""
    assert gauge().end(9.0, 10.0, overload=False).calls == 1


def test_a_call_that_began_under_another_limit_is_not_counted():
    """It says nothing about this one."""
    one = gauge(least_calls=1, least_s=0.001)
    one.open(5, 2.0)

    assert one.end(1.9, 3.5, overload=False) is None
    assert one.end(2.0, 3.5, overload=False).ran_s == 1.5


def test_slow_calls_in_a_row_end_a_window_early():
    """A quarter of the calls is enough when each of them is alarming."""
    one = gauge(least_calls=8, least_s=100.0, most_s=1000.0)
    one.open(3, 0.0, alarm_s=1.0)

    assert one.end(0.0, 0.5, overload=False) is None
    assert one.end(0.0, 1.5, overload=False) is None
    assert one.end(1.0, 1.6, overload=False) is None, "a quick one between them"
    assert one.end(0.2, 1.7, overload=False) is None
    alarm = one.end(0.2, 1.8, overload=False)
    assert (alarm.calls, alarm.ran_s) == (2, 1.6)
    assert alarm.alarm_per_s == pytest.approx(10.0), "two that were 0.1 s apart"


def test_slow_calls_alarm_also_if_they_began_before_the_window():
    """A server that loses its capacity makes those slow that it has already."""
    one = gauge(least_calls=8, least_s=100.0, most_s=1000.0)
    one.open(3, 1.0, alarm_s=1.0)

    assert one.end(0.5, 2.0, overload=False) is None
    assert one.end(0.5, 2.0, overload=False).alarm_per_s == math.inf, "both at once"


def test_calls_that_began_before_slow_ones_cut_the_limit_alarm_nobody():
    """They are slow for what the cut has mended."""
    one = gauge(least_calls=8, least_s=100.0, most_s=1000.0)
    one.open(100, 1.0, alarm_s=1.0)
    assert [one.end(0.5, t, overload=False) is None for t in (1.9, 2.0)] == [True, False]
    one.open(10, 2.0, alarm_s=1.0)

    assert [one.end(1.5, t, overload=False) for t in (4.0, 4.1, 4.2)] == [None] * 3
    assert one.end(2.5, 4.3, overload=False) is None
    assert one.end(2.5, 4.4, overload=False).calls == 2


def test_a_cut_that_came_of_a_whole_window_keeps_no_alarm_away():
    """Its times may be from before the server lost its capacity, so it is too small."""
    one = gauge(least_calls=8, least_s=100.0, most_s=1000.0)
    one.open(100, 1.0, alarm_s=1.0)
    one.open(50, 2.0, alarm_s=1.0)

    assert one.end(1.5, 3.0, overload=False) is None
    assert one.end(1.5, 3.1, overload=False).alarm_per_s == pytest.approx(10.0)


def test_what_a_pause_has_held_up_alarms_once():
    """Some of them had stood behind the others at the server, and end a turn later."""
    one = gauge(least_calls=8, least_s=100.0, most_s=1000.0)
    one.open(40, 1.0, alarm_s=1.0)
    assert one.end(0.5, 5.0, overload=False) is None
    assert one.end(0.5, 5.0, overload=False).alarm_per_s == math.inf
    one.open(40, 5.0, alarm_s=1.0)

    assert [one.end(0.5, t, overload=False) for t in (5.0, 5.4, 5.9)] == [None] * 3
    assert one.end(0.5, 6.0, overload=False) is None
    assert one.end(0.5, 6.5, overload=False).alarm_per_s == 2.0, "a server that is slow stays so"


def test_the_mean_of_a_window_shows_a_queue_in_which_one_in_ten_waits():
    """The median would not, until half of them do."""
    mean_s, noise_s = mean_of([0.03] * 27 + [0.06] * 3)

    assert mean_s == pytest.approx(0.033)
    assert noise_s == pytest.approx(0.00167, rel=0.01)


@given(st.lists(st.floats(1e-3, 1e3), min_size=3), st.floats(10.0, 1e9))
def test_a_single_slow_call_counts_for_no_more_than_three_medians(values, slow):
    """However long it took."""
    middle = percentile_of([*values, slow * 1e3], 50.0)
    mean_s, _ = mean_of([*values, slow * 1e3])

    assert mean_s <= 3.0 * middle * (1 + 1e-9)
    assert min(values) * (1 - 1e-9) <= mean_s


def test_the_delays_of_a_window_are_their_mean():
    """None where nobody measured."""
    one = gauge(least_calls=1, least_s=0.001)
    one.begin(1, 0.25)
    one.begin(2, 0.75)

    full = one.end(0.0, 1.0, overload=True)

    assert (full.delay_s, full.most_in_flight, full.ran_s, full.overloads) == (0.5, 2, None, 1)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_is_one_of_the_values_with_so_many_below(values, percentile):
    """The nearest rank: never an invented value."""
    found = percentile_of(values, percentile)

    assert found in values
    assert sum(v < found for v in values) <= len(values) * percentile / 100.0


# ---------------------------------------------------------------- all laws

windows = st.builds(
    CallWindow,
    limit=st.integers(1, 200),
    most_in_flight=st.integers(0, 200),
    calls=st.integers(0, 100),
    overloads=st.integers(0, 100),
    ran_s=st.none() | st.floats(1e-6, 1e4),
    noise_s=st.floats(0, 1e4),
    alarm_per_s=st.none() | st.floats(0, math.inf),
    delay_s=st.none() | st.floats(0, 10),
)


@pytest.mark.parametrize("law", LAWS)
@given(steps=st.lists(windows, max_size=60))
def test_no_calls_take_a_limit_out_of_its_bounds(law, steps):
    """Whatever the calls do: a whole number from the floor to the most."""
    options = Adaptive(law=law, initial=5, min_limit=2, max_limit=50)
    state = law.start(5)
    for step in steps:
        state = law.step(state, step)
        state = replace(state, limit=min(max(state.limit, options.min_limit), options.max_limit))

        assert math.isfinite(state.limit)
        assert options.min_limit <= state.limit <= options.max_limit


@pytest.mark.parametrize("law", LAWS)
@given(steps=st.lists(windows, max_size=20))
def test_no_law_raises_a_limit_that_the_program_does_not_use(law, steps):
    """While less than half of it is in flight the program is the bottleneck, and nothing is learnt."""
    state = walk(law, steps)
    state = replace(state, before_probe=None) if isinstance(law, Gradient) else state
    idle = window(limit=1000, most_in_flight=500)

    assert law.step(state, idle).limit <= state.limit


@pytest.mark.parametrize("law", LAWS)
@given(steps=st.lists(windows, max_size=20), busy=st.integers(1, 200))
def test_no_law_raises_a_limit_beyond_five_times_what_is_in_flight(law, steps, busy):
    """So an idle hour can't drift it to where it protects nobody."""
    state = walk(law, steps)
    state = replace(state, before_probe=None) if isinstance(law, Gradient) else state

    after = law.step(state, window(limit=1, most_in_flight=busy)).limit

    assert after <= max(state.limit, 5 * busy)


# ---------------------------------------------------------------- the gradient


def test_it_grows_faster_while_nothing_resists():
    """A server that is twenty times as large as the first guess is found in a few windows."""
    law = Gradient()
    state = law.start(4)
    limits = []
    for _ in range(12):
        n = round(state.limit)
        state = law.step(state, window(limit=n, most_in_flight=n))
        limits.append(state.limit)

    assert limits == sorted(limits)
    assert limits[-1] > 100


def test_a_server_that_queues_is_given_what_it_works_on_and_a_little_room():
    """By Little's law: forty in flight that take ten times the base are four that are worked on."""
    law = Gradient()
    state = replace(law.start(40), base_s=0.1)

    after = law.step(state, window(limit=40, most_in_flight=40, ran_s=1.0))

    assert 4 <= after.limit <= 8


def test_slow_calls_in_a_row_cut_it_to_what_the_server_ends_meanwhile():
    """By Little's law again: forty a second, of 0.1 s each, are four that are worked on."""
    law = Gradient(tolerance=1.0)
    state = replace(law.start(50), base_s=0.1)

    after = law.step(state, window(limit=50, ran_s=0.35, alarm_per_s=40.0))

    assert after.limit == pytest.approx(4.0)


def test_a_pause_that_makes_all_calls_slow_cuts_nothing():
    """They end at once when it is over: the server is what it was."""
    law = Gradient()
    state = replace(law.start(50), base_s=0.1, strides=5)

    after = law.step(state, window(limit=50, ran_s=0.9, alarm_per_s=math.inf))

    assert (after.limit, after.strides, after.base_s) == (50.0, 0, 0.1)


def test_slow_calls_cut_nothing_while_the_server_ends_nearly_as_many():
    """What some slow ones say of it is rough; the times of a whole window are not."""
    law = Gradient(tolerance=1.0)
    state = replace(law.start(50), base_s=0.1)

    assert law.step(state, window(limit=50, ran_s=0.25, alarm_per_s=350.0)).limit == 50.0
    assert law.step(state, window(limit=50, ran_s=0.25, alarm_per_s=250.0)).limit == 25.0


def test_calls_that_scatter_must_be_slower_to_be_alarming():
    """Of some kinds of work one call in eight takes twice the mean."""
    law = Gradient()
    steady = walk(law, [window(noise_s=0.0)] * 5)
    scattered = walk(law, [window(noise_s=0.1 / math.sqrt(30))] * 5)

    assert steady.alarm_s == pytest.approx(0.2)
    assert 0.29 < scattered.alarm_s <= 0.3


def test_an_alarm_ends_a_probe():
    """It is no look at the base; and it is the limit before the probe that is cut."""
    law = Gradient(tolerance=1.0)
    state = replace(law.start(30), base_s=0.1, before_probe=40.0)

    after = law.step(state, window(limit=30, ran_s=0.35, alarm_per_s=100.0))

    assert (after.limit, after.before_probe, after.base_s) == (10.0, None, 0.1)


def test_what_may_be_chance_is_no_queue():
    """Nor a faster server: times that scatter widely say little in thirty calls."""
    law = Gradient(tolerance=1.0)
    state = replace(law.start(10), base_s=0.1)

    longer = law.step(state, window(ran_s=0.11, noise_s=0.02))
    shorter = law.step(state, window(ran_s=0.075, noise_s=0.02))

    assert longer.limit > 10.0
    assert shorter.base_s == 0.1
    assert law.step(state, window(ran_s=0.075, noise_s=0.001)).base_s == pytest.approx(0.0875)


def test_refused_calls_cut_it_although_those_that_were_served_were_quick():
    """A server that refuses at once would otherwise look fast."""
    law = Gradient(cut=0.5)

    assert law.step(law.start(10), window(overloads=10)).limit == 5.0


def test_a_base_does_not_creep_up_with_a_queue_that_stays():
    """It is measured again at three quarters of the load, and only so can it rise."""
    law = Gradient(probe_every=5)
    state = replace(law.start(10), base_s=0.1)
    probed = []
    for _ in range(50):
        n = max(1, round(state.limit))
        # A server that works on 8 at once, 0.1 s each.
        ran = 0.1 * max(1.0, n / 8)
        state = law.step(state, window(limit=n, most_in_flight=n, ran_s=ran))
        if state.before_probe is not None:
            probed.append(state.limit)

    assert state.base_s == pytest.approx(0.1)
    assert probed
    assert max(probed) <= 6.5
    assert 8 <= max(state.limit, state.before_probe or 0) <= 12


def test_the_first_base_is_soon_measured_again():
    """One odd window may have made it; later there is no hurry."""
    law = Gradient(probe_every=20)
    state = replace(law.start(10), base_s=0.1)
    probes = []
    for nth in range(60):
        n = max(1, round(state.limit))
        state = law.step(state, window(limit=n, most_in_flight=n, ran_s=0.1 * max(1.0, n / 8)))
        if state.before_probe is not None:
            probes.append(nth)

    assert probes == [7, 24, 45]


def test_a_base_that_is_wrong_is_found_out_by_the_next_probe():
    """While the server ends as many calls as before it still queues: the probe goes on with fewer."""
    law = Gradient(probe_every=5)
    state = replace(law.start(22), base_s=0.5)  # such as noise can leave behind
    for _ in range(20):
        n = max(1, round(state.limit))
        # A server that works on 4 at once, 0.1 s each.
        state = law.step(state, window(limit=n, most_in_flight=n, ran_s=0.1 * max(1.0, n / 4)))

    assert state.base_s < 0.2
    assert max(state.limit, state.before_probe or 0) <= 8


def test_a_cut_that_shortened_the_calls_as_much_as_it_should_is_none_that_was_useless():
    """A server that has lost capacity is not taken for one that is slow, however gently the limit falls."""
    law = Gradient()
    state = replace(law.start(48), base_s=0.1)
    for lost in range(30):
        n = max(1, round(state.limit))
        # It worked on 40 at once, and loses one of them with each window until 20 are left.
        capacity = max(20, 40 - lost)
        state = law.step(
            state, window(limit=n, most_in_flight=n, ran_s=0.1 * max(1.0, n / capacity))
        )

    assert state.base_s == pytest.approx(0.1)
    assert 20 <= state.limit <= 26


def test_calls_that_take_longer_for_another_reason_do_not_starve_the_limit():
    """Two cuts that did not help show that the load is not the cause: what they take is the base now."""
    law = Gradient()
    state = replace(law.start(40), base_s=0.1)
    for _ in range(8):
        n = max(1, round(state.limit))
        state = law.step(state, window(limit=n, most_in_flight=n, ran_s=0.3))

    assert state.base_s == pytest.approx(0.3)
    assert state.limit > 5


def test_a_base_is_never_taken_from_an_unhealthy_time():
    """A long incident does not become the normal state."""
    law = Gradient(healthy_s=0.2)
    state = law.start(10)
    for _ in range(20):
        n = max(1, round(state.limit))
        state = law.step(state, window(limit=n, most_in_flight=n, ran_s=5.0))

    assert state.base_s <= 0.2
    assert state.limit < 2


def test_a_program_that_is_idle_shows_the_base():
    """Nothing queues then; half of the way each time, so that one odd window is not believed."""
    law = Gradient()
    state = replace(law.start(10), base_s=0.4)

    after = law.step(state, window(most_in_flight=2, ran_s=0.2))

    assert after.base_s == pytest.approx(0.3)


@functools.cache
def best_of(capacity, mean_s, spread):
    """The best fixed limit; the same for all seeds."""
    return best_fixed(capacity, 30.0, service_times(mean_s, spread, 77))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("mean_s", "spread"), [(0.03, 0.0), (0.02, 0.2), (0.05, 0.2), (0.05, 0.5), (0.05, 1.0)]
)
def test_it_follows_a_server_from_8_to_40_to_4(mean_s, spread, seed):
    """Within a fifth of the best fixed limit's throughput, and at most twice its 99th percentile."""
    phases = [Phase(8, 120.0), Phase(40, 120.0), Phase(4, 120.0)]

    run = simulate(adaptive(Adaptive()), phases, service_times(mean_s, spread, seed))

    for phase, found in zip(phases, run.phases, strict=True):
        best = best_of(phase.capacity, mean_s, spread)
        assert found.throughput >= 0.8 * best.throughput, (phase, found, best)
        assert found.p99_s <= 2.0 * best.p99_s, (phase, found, best)


def test_it_follows_a_server_on_a_machine_that_others_use_too():
    """Where the process is held up for longer than a call takes, several times a second."""
    phases = [Phase(8, 60.0), Phase(40, 60.0), Phase(4, 60.0)]
    service_s = service_times(0.03, 0.0, 0)

    run = simulate(adaptive(Adaptive()), phases, service_s, Busy(1.5e-4, 0.3, 0.04, 1))

    for phase, found in zip(phases, run.phases, strict=True):
        best = best_fixed(phase.capacity, 60.0, service_s, Busy(1.5e-4, 0.3, 0.04, 77))
        assert found.throughput >= 0.8 * best.throughput, (phase, found, best)
        assert found.p99_s <= 2.0 * best.p99_s, (phase, found, best)


# ---------------------------------------------------------------- the others


def test_aimd_goes_up_by_a_step_and_down_by_a_share():
    """One window, one step."""
    law = Aimd(step_calls=2.0, cut=0.5)

    assert law.step(law.start(10), window()).limit == 12.0
    assert law.step(law.start(10), window(overloads=1)).limit == 5.0


def test_aimd_is_soon_back_where_it_was_refused_and_careful_from_there():
    """Half of the way each time, then by steps."""
    law = Aimd(cut=0.25)
    state = law.step(law.start(40), window(limit=40, most_in_flight=40, overloads=3))
    limits = [state.limit]
    for _ in range(7):
        state = law.step(state, window(limit=10, most_in_flight=40))
        limits.append(state.limit)

    assert limits == [10.0, 25.0, 32.5, 36.25, 38.125, 39.125, 40.125, 41.125]


def test_the_queue_delay_goes_by_this_process_alone():
    """A server that is slow is no reason; a loop that is late is one."""
    law = QueueDelay(target_s=0.02, cut=0.5)

    assert law.step(law.start(10), window(ran_s=100.0, delay_s=0.001)).limit == 11.0
    assert law.step(law.start(10), window(ran_s=0.1, delay_s=0.021)).limit == 5.0


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial": 0},
        {"min_limit": 10, "initial": 5},
        {"initial": 300},
        {"percentile": 101},
        {"window_calls": 0},
        {"window_s": 0},
        {"overload": 3},
    ],
)
def test_options_that_can_not_be_meant_are_refused(wrong):
    """When the limit is made, with what was given in the message."""
    with pytest.raises((ValueError, TypeError), match="must"):
        Adaptive(**wrong)


@pytest.mark.parametrize(
    ("law", "wrong"),
    [
        (Gradient, {"tolerance": 0.5}),
        (Gradient, {"cut": 1.0}),
        (Gradient, {"probe_every": 1}),
        (Gradient, {"healthy_s": 0.0}),
        (Aimd, {"step_calls": 0}),
        (Aimd, {"cut": 0}),
        (Aimd, {"tolerance": 1.0}),
        (QueueDelay, {"target_s": 0}),
        (QueueDelay, {"cut": 2}),
    ],
)
def test_laws_that_can_not_be_meant_are_refused(law, wrong):
    """When they are made."""
    with pytest.raises(ValueError, match="must"):
        law(**wrong)


class _Answer(Exception):
    def __init__(self, **said):
        super().__init__()
        self.__dict__.update(said)


@pytest.mark.parametrize(
    ("error", "overload"),
    [
        (TimeoutError(), True),
        (CallTimeout("late"), True),
        (QueueFull("full"), True),
        (_Answer(status_code=429), True),
        (_Answer(status=503), True),
        (_Answer(response=_Answer(status_code=529)), True),
        (type("PoolTimeout", (Exception,), {})(), True),
        (_Answer(status_code=404), False),
        (_Answer(code="429"), False),
        (ValueError(), False),
    ],
)
def test_an_error_is_a_sign_of_overload_if_it_says_so(error, overload):
    """The server's own words, a pool's refusal, or a timeout; a mistake of the program is none."""
    assert is_overload(error) is overload


def test_a_change_says_what_it_was_made_for():
    """With the window that led to it."""
    counter = Adaptive(window_calls=2, window_s=0.5, law=Aimd()).counter(0.0)
    counter.begin(4)

    assert counter.end(0.0, 0.5, overload=False) is None
    change = counter.end(0.0, 1.0, overload=False)

    assert (change.at, change.before, change.after) == (1.0, 4, 5)
    assert change.window.calls == 2
    assert counter.limit == 5


def test_a_law_that_makes_no_number_of_it_is_told():
    """Rather than a pool whose limit is no number."""

    class Broken(Aimd):
        def step(self, state, window):
            return replace(state, limit=math.nan)

    counter = Adaptive(window_calls=1, window_s=0.001, law=Broken()).counter(0.0)

    with pytest.raises(ValueError, match="no number"):
        counter.end(0.0, 1.0, overload=False)
