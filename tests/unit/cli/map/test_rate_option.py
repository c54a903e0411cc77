"""What ``--rate`` understands."""

import pytest

from holdfast.cli.map.rate_option import parse_rate
from holdfast.limits.rate import Rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5", Rate(5)),
        ("5/s", Rate(5)),
        ("60/min", Rate(60, per=60)),
        ("60 / Min", Rate(60, per=60)),
        ("1000/h", Rate(1000, per=3600)),
        ("1/10s", Rate(1, per=10)),
        ("2.5", Rate(5, per=2)),
        ("0.5/min", Rate(1, per=120)),
    ],
)
def test_a_rate_is_a_number_and_a_unit(text, rate):
    """A plain number is per second; fractions and longer units work too."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "fast", "5/", "5/day", "-1", "0", "0/s", "1/0s", "1e3", "inf", "5//s", "9" * 30]
)
def test_anything_else_is_refused_with_an_example(text):
    """Nothing means "unlimited", and nothing is guessed."""
    with pytest.raises(ValueError, match=r"is no rate"):
        parse_rate(text)
