"""The rate over the last half minute."""

from holdfast.cli.map.pace import WINDOW_S, Pace


def test_nothing_yet_is_no_rate():
    """Before any time has passed there is nothing to divide by."""
    assert Pace(100.0).per_second() == 0.0


def test_it_is_the_mean_from_the_start_while_the_run_is_young():
    """Ten items in two seconds are five per second."""
    pace = Pace(100.0)

    pace.add(102.0, 10)

    assert pace.per_second() == 5.0


def test_what_happened_long_ago_does_not_count():
    """After a slow beginning the rate is that of the last half minute."""
    pace = Pace(0.0)

    for second in range(1, 1000):
        pace.add(float(second), second if second < 900 else 899 + (second - 899) * 10)

    assert pace.per_second() == 10.0


def test_only_a_window_of_readings_is_kept():
    """Eight readings a second for a month would be twenty million."""
    pace = Pace(0.0)

    for tick in range(10_000):
        pace.add(tick / 8, tick)

    assert len(pace._readings) <= WINDOW_S * 8 + 2
