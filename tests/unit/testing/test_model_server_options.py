"""Options and latencies: what they accept, and how they reach a child process."""

import re
from dataclasses import fields
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, strategies as st

from holdfast.testing.model_server import Latency, ModelServer
from holdfast.testing.model_server._command import _HELP, _parser
from holdfast.testing.model_server._options import Options, flag_of

PAGE = Path(__file__).parents[3] / "docs" / "model_server.md"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0, Latency("constant", 0.0)),
        (0.25, Latency("constant", 0.25)),
        ("0.25", Latency("constant", 0.25)),
        ("uniform:0.02:0.2", Latency("uniform", 0.02, 0.2)),
        ("exponential:0.1", Latency("exponential", 0.1)),
        ("lognormal:0.3:0.6", Latency("lognormal", 0.3, 0.6)),
        (Latency("uniform", 1, 2), Latency("uniform", 1, 2)),
    ],
)
def test_a_latency_is_read(given, expected):
    """Numbers and the written forms are understood."""
    assert Latency.parse(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        *(
            "",
            "fast",
            "nan",
            "inf",
            "-1",
            "601",
            "uniform",
            "uniform:1",
            "uniform:1:2:3",
            "uniform:2:1",
        ),
        *("uniform:1:x", "uniform:1:700", "exponential:-1", "exponential:nan", "lognormal:1"),
        *("lognormal:1:-1", "lognormal:1:6", "normal:1:2", -0.1),
    ],
)
def test_a_bad_latency_is_refused_with_what_would_do(given):
    """The message names the value."""
    with pytest.raises(ValueError, match="latency"):
        Latency.parse(given)


@pytest.mark.parametrize("given", [None, True, b"1"])
def test_a_latency_of_another_type_is_refused(given):
    """Only numbers, texts and latencies are taken."""
    with pytest.raises(TypeError, match="a latency is given as"):
        Latency.parse(given)


@given(
    st.one_of(
        st.builds(lambda a: Latency("constant", a), st.floats(0, 600)),
        st.builds(
            lambda a, b: Latency("uniform", min(a, b), max(a, b)),
            st.floats(0, 600),
            st.floats(0, 600),
        ),
        st.builds(lambda a: Latency("exponential", a), st.floats(0, 600)),
        st.builds(lambda a, b: Latency("lognormal", a, b), st.floats(0, 600), st.floats(0, 5)),
    ),
    st.integers(0, 2**32),
)
def test_a_latency_survives_being_written_and_draws_within_its_bounds(latency, seed):
    """Text and back is the same distribution; no draw is negative or beyond ten minutes."""
    drawn = latency.draw(Random(seed))

    assert Latency.parse(str(latency)) == latency
    assert 0 <= drawn <= 600
    assert drawn == latency.draw(Random(seed))


def test_draws_follow_the_distribution():
    """Median and mean of many draws are what was asked for."""
    rng = Random(1)
    lognormal = sorted(Latency("lognormal", 0.3, 0.6).draw(rng) for _ in range(4001))
    exponential = [Latency("exponential", 0.1).draw(rng) for _ in range(4000)]
    uniform = [Latency("uniform", 1, 3).draw(rng) for _ in range(4000)]

    assert lognormal[2000] == pytest.approx(0.3, rel=0.1)
    assert sum(exponential) / 4000 == pytest.approx(0.1, rel=0.1)
    assert 1 <= min(uniform) < 1.1
    assert 2.9 < max(uniform) <= 3


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("port", -1, ValueError),
        ("port", 65_536, ValueError),
        ("port", "80", TypeError),
        ("seed", -1, ValueError),
        ("rate_limit", 0, ValueError),
        ("rate_limit", 1.5, TypeError),
        ("rate_period", 0, ValueError),
        ("rate_period", None, ValueError),
        ("error_rate", 1.1, ValueError),
        ("error_rate", float("nan"), ValueError),
        ("hang_rate", -0.1, ValueError),
        ("stall_rate", "0.1", TypeError),
        ("disconnect_rate", True, TypeError),
        ("stall_mode", "crawl", ValueError),
        ("stall_time", 0, ValueError),
        ("max_concurrent", 0, ValueError),
        ("max_connections", 0, ValueError),
        ("max_request_bytes", 0, ValueError),
        ("max_head_bytes", 100, ValueError),
        ("idle_timeout", 0, ValueError),
        ("request_timeout", float("inf"), ValueError),
        ("grace", -1, ValueError),
        ("latency", "slow", ValueError),
    ],
)
def test_a_bad_option_is_refused_when_the_server_is_made(option, value, error):
    """Nothing is started with an option that makes no sense, and the message names the option."""
    with pytest.raises(error, match=option):
        ModelServer(**{option: value})


def test_rates_of_faults_are_shares_of_one_whole():
    """A call meets one fault at most, so the shares can't be more than all calls."""
    with pytest.raises(ValueError, match=r"are 1\.1; lower one"):
        ModelServer(error_rate=0.5, hang_rate=0.6)


def test_options_reach_a_command_line_and_come_back():
    """The flags for a child process say the same as the options."""
    options = Options(
        host="::1",
        latency="lognormal:0.3:0.6",
        token_latency=Latency("uniform", 0, 0.1),
        rate_limit=3,
        stall_mode="dribble",
        access_log=True,
        grace=0.0,
    )

    given = _parser().parse_args(options.to_flags())
    back = Options(**{one.name: getattr(given, one.name) for one in fields(Options)})

    assert back.to_flags() == options.to_flags()
    assert (back.host, back.rate_limit, back.access_log) == ("::1", 3, True)
    assert Latency.parse(back.token_latency) == Latency("uniform", 0, 0.1)


def test_every_option_has_a_flag_and_a_row_in_the_page():
    """Class, command line and documentation have the same options and defaults."""
    rows = dict(re.findall(r"^\| `(--[a-z-]+)[^`]*` \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE))
    names = [one.name for one in fields(Options)]

    assert list(_HELP) == names
    assert set(rows) == {flag_of(name) for name in names} | {"--json", "--until-stdin-closes"}
    for option in fields(Options):
        shown = str(option.default).removesuffix(".0").replace("False", "off").lower()
        assert rows[flag_of(option.name)].strip("` ") == shown
