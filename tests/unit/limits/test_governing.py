"""How limits are pulled in under pressure and come back."""

import pytest
from hypothesis import given, strategies as st

from holdfast.limits.governing import Governing, GovernState, cap_of

LAW = Governing()
OPEN = GovernState()


def look(state, now, *, memory="ok", threads="ok", events=(), in_flight=5, ended=None):
    """One look at two resources; calls end all the time, unless they are said not to."""
    return LAW.step_on(
        state,
        now,
        levels={"memory": memory, "threads": threads},
        events=events,
        in_flight=in_flight,
        ended=int(now * 1000) if ended is None else ended,
    )


def test_nothing_changes_while_nothing_presses():
    """Not even the record of changes."""
    assert look(OPEN, 1.0, ended=0) == OPEN


def test_an_event_cuts_at_once():
    """Without waiting for a reading."""
    state = look(OPEN, 1.0, events=["refused_thread"])

    assert state.share == 0.5
    assert "refused a thread" in state.reason
    assert not state.paused


def test_many_events_of_one_cause_are_one_cut():
    """A hundred calls meet the same wall."""
    state = look(OPEN, 1.0, events=["no_descriptor"] * 100)
    state = look(state, 1.2, events=["no_descriptor"] * 100)
    assert state.share == 0.5

    assert look(state, 2.0, events=["no_descriptor"]).share == 0.25


def test_caution_holds():
    """Nothing falls, and nothing rises until it has been quiet for a while."""
    state = look(OPEN, 0.0, events=["memory_error"])
    for now in range(1, 60):
        state = look(state, float(now), memory="caution")

    assert state.share == 0.5
    assert look(state, 60.0).share == 0.5


def test_critical_pressure_goes_to_the_floors_and_pauses():
    """And says what it was."""
    state = look(OPEN, 1.0, memory="critical", threads="critical")

    assert (state.share, state.paused) == (0.0, True)
    assert state.reason.startswith("memory and threads critical")


def test_a_pause_ends_with_the_pressure():
    """At the floors, from which it recovers."""
    state = look(OPEN, 1.0, memory="critical")
    state = look(state, 2.0, memory="caution")

    assert (state.share, state.paused) == (0.0, False)


def test_a_pause_ends_when_nothing_is_left_that_could_make_room():
    """Otherwise the program would wait for ever for room that nobody makes."""
    state = look(OPEN, 1.0, memory="critical")
    state = look(state, 1.5, memory="critical", in_flight=0)
    assert (state.share, state.paused) == (0.0, False)

    state = look(state, 2.0, memory="critical")
    assert not state.paused, "one pause for one spell"


def test_a_pause_ends_after_its_longest_time():
    """Work that does not end must not stop all other work for ever."""
    state = look(OPEN, 1.0, memory="critical")
    assert look(state, 5.9, memory="critical").paused

    assert not look(state, 6.0, memory="critical").paused


def test_calls_that_wait_for_each_other_at_the_floors_get_more_room_in_time():
    """One that holds the only permit may wait for another that has none."""
    state = look(OPEN, 1.0, memory="critical", ended=7)
    state = look(state, 6.0, memory="critical", ended=7)
    assert (state.share, state.paused) == (0.0, False)

    state = look(state, 10.9, memory="critical", ended=7)
    assert state.share == 0.0
    state = look(state, 11.0, memory="critical", ended=7)
    assert state.share == 0.1
    assert "no call has ended for 5 s" in state.reason

    assert look(state, 20.0, memory="critical", ended=9).share == 0.1


def test_a_later_spell_has_a_pause_of_its_own():
    """Once the first is over."""
    state = look(OPEN, 1.0, memory="critical")
    state = look(state, 2.0, memory="critical", in_flight=0)
    state = look(state, 3.0)

    assert look(state, 4.0, memory="critical").paused


def test_limits_come_back_step_by_step_after_a_quiet_time():
    """Ten seconds of quiet, then a tenth every two seconds."""
    state = look(OPEN, 0.0, memory="critical")
    shares = {}
    for now in range(1, 80):
        state = look(state, float(now))
        shares[now] = round(state.share, 3)

    assert shares[9] == 0.0
    assert [shares[now] for now in (10, 11, 12, 13, 14)] == [0.1, 0.1, 0.2, 0.2, 0.3]
    assert shares[79] == 1.0


def test_it_is_careful_from_half_of_where_it_became_critical():
    """By quarters of a step, so that caution is met before the wall."""
    state = LAW.step_on(OPEN, 0.0, levels={"memory": "critical"}, in_flight=5, used=0.4)
    shares = []
    for now in range(1, 30):
        state = look(state, float(now))
        shares.append(round(state.share, 3))

    assert sorted(set(shares)) == [0.0, 0.1, 0.2, 0.225, 0.25, 0.275, 0.3, 0.325, 0.35, 0.375, 0.4]


looks = st.lists(
    st.tuples(
        st.floats(0.01, 5),
        st.sampled_from(["ok", "caution", "critical"]),
        st.sampled_from([(), (), ("refused_thread",), ("memory_error", "no_descriptor")]),
        st.integers(0, 3),
    ),
    max_size=80,
)


@given(looks)
def test_whatever_happens_a_share_is_a_share_and_a_pause_comes_to_an_end(steps):
    """No run of looks keeps a pause longer than its longest time, or raises a limit under pressure."""
    state, now, paused_since = OPEN, 0.0, None
    for pause, level, events, in_flight in steps:
        now += pause
        before = state
        state = look(state, now, memory=level, events=events, in_flight=in_flight)

        assert 0.0 <= state.share <= 1.0
        if level != "critical" and (level == "caution" or events):
            assert state.share <= before.share
        if not state.paused:
            paused_since = None
        elif paused_since is None:
            paused_since = now
        else:
            assert now - paused_since < LAW.longest_pause_s


@given(st.integers(1, 1000), st.floats(0, 1), st.floats(0, 1), st.integers(1, 50))
def test_a_cap_is_between_the_floor_and_the_limit(limit, share, weight, floor):
    """And a smaller share never raises it."""
    cap = cap_of(limit, share=share, weight=weight, floor=floor)

    assert min(limit, floor) <= cap <= limit
    assert cap_of(limit, share=share / 2, weight=weight, floor=floor) <= cap
    assert cap_of(limit, share=1.0, weight=weight, floor=floor) == limit


@pytest.mark.parametrize(
    "wrong", [{"cut": 1.0}, {"step": 0}, {"quiet_s": -1}, {"cut": float("nan")}]
)
def test_rules_that_can_not_be_meant_are_refused(wrong):
    """When they are made."""
    with pytest.raises(ValueError, match="must be"):
        Governing(**wrong)
