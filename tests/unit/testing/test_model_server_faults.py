"""Which call meets which fault, and what it does to a script."""

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from holdfast.testing.model_server._faults import Fates, Fault, break_off, dribble, stall
from holdfast.testing.model_server._options import Options

HEAD = (0.5, b"head")


def faults(count: int, **options: float) -> list[Fault]:
    """Draw the faults of ``count`` calls."""
    fates = Fates(Options(**options))  # type: ignore[arg-type]
    return [fates.draw(stream=True).fault for _ in range(count)]


def test_without_rates_nothing_goes_wrong():
    """The default server has no faults."""
    assert set(faults(100)) == {Fault.NONE}


def test_the_same_seed_brings_the_same_fates():
    """The n-th call meets the same fault and draws the same latencies in every run."""
    first, again, other = (Fates(Options(seed=seed, error_rate=0.5)) for seed in (7, 7, 8))

    drawn = [
        [(fate.fault, fate.rng.random()) for fate in (fates.draw(stream=True) for _ in range(50))]
        for fates in (first, again, other)
    ]

    assert drawn[0] == drawn[1] != drawn[2]


def test_faults_come_in_the_shares_asked_for():
    """Of many calls each fault has its share, the two kinds of errors and stalls half each."""
    seen = Counter(
        faults(
            4000,
            error_rate=0.2,
            hang_rate=0.2,
            disconnect_rate=0.2,
            stall_rate=0.2,
            stream_error_rate=0.5,
        )
    )

    expected = {
        Fault.ERROR: 400,
        Fault.OVERLOADED: 400,
        Fault.HANG: 800,
        Fault.DISCONNECT: 800,
        Fault.DRIBBLE: 400,
        Fault.PAUSE: 400,
        Fault.STREAM_ERROR: 400,
        Fault.NONE: 400,
    }
    assert seen == {fault: pytest.approx(count, rel=0.2) for fault, count in expected.items()}


def test_a_higher_rate_keeps_the_faults_there_were():
    """Turning one rate up adds calls to those that fail, and changes nothing else."""
    few, many = faults(500, error_rate=0.1), faults(500, error_rate=0.3)

    assert all(b is a for a, b in zip(few, many, strict=True) if a is not Fault.NONE)


@pytest.mark.parametrize(("mode", "fault"), [("dribble", Fault.DRIBBLE), ("pause", Fault.PAUSE)])
def test_the_mode_of_stalling_can_be_chosen(mode, fault):
    """With one mode, every stall is of that kind."""
    fates = Fates(Options(stall_rate=1.0, stall_mode=mode))

    assert {fates.draw(stream=True).fault for _ in range(20)} == {fault}


def test_only_streams_end_in_an_error_event():
    """An answer in one piece has no events, and goes on as it was."""
    fates = Fates(Options(stream_error_rate=1.0))

    assert fates.draw(stream=False).fault is Fault.NONE
    assert fates.draw(stream=True).fault is Fault.STREAM_ERROR


def test_dribbling_sends_byte_by_byte_in_the_time_asked_for():
    """The head comes whole, each byte of the body alone; together they take that much longer."""
    steps = list(dribble([HEAD, (0.0, b"ab"), (1.0, b"cd")], 8.0))

    assert steps == [HEAD, (2.0, b"a"), (2.0, b"b"), (3.0, b"c"), (2.0, b"d")]


def test_dribbling_much_in_little_time_sends_several_bytes_together():
    """Timers have a grain; the time asked for is kept."""
    head, *body = dribble([HEAD, (0.0, b"x" * 1000)], 0.05)

    assert head == HEAD
    assert 5 <= len(body) <= 20
    assert sum(pause for pause, _ in body) == pytest.approx(0.05)


def test_stalling_waits_after_half_of_the_body():
    """What comes before and after the pause is the body, with its own pauses."""
    steps = list(stall([HEAD, (0.0, b"abc"), (1.0, b"d")], 30.0))

    assert steps == [HEAD, (0.0, b"ab"), (30.0, b"c"), (1.0, b"d")]


def test_breaking_off_sends_half_of_the_body():
    """Never the whole of it, so that the client can tell."""
    assert list(break_off([HEAD, (0.0, b"abc"), (1.0, b"d")])) == [HEAD, (0.0, b"ab")]
    assert list(break_off([HEAD, (0.0, b"a")])) == [HEAD, (0.0, b"")]
    assert list(break_off([HEAD])) == [HEAD]


bodies = st.lists(st.tuples(st.sampled_from([0.0, 0.5]), st.binary(max_size=5)), max_size=6)


@given(bodies)
def test_a_slow_body_is_the_same_body(body):
    """Dribbled or stalled, the bytes are the same and no time is lost or won."""
    whole = b"".join(data for _, data in body)
    time = sum(pause for pause, _ in body)
    for slow in (dribble, stall):
        head, *rest = slow([HEAD, *body], 10.0)

        assert head == HEAD
        assert b"".join(data for _, data in rest) == whole
        if whole:
            took = sum(pause for pause, _ in rest)
            lost = sum(pause for pause, data in body if not data) if slow is dribble else 0.0
            assert took == pytest.approx(time - lost + 10.0)


@given(bodies)
def test_a_broken_body_is_a_part_from_its_beginning(body):
    """Half of the bytes, in order."""
    whole = b"".join(data for _, data in body)
    _, *rest = break_off([HEAD, *body])

    assert b"".join(data for _, data in rest) == whole[: len(whole) // 2]
