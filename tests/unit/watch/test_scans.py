"""When to look at what every descriptor is: rarely, more often while they grow, never for long."""

from holdfast.watch._scans import ScanPace


def scans(counts, *, limit=1024, suspected=False, took_s=0.0, step=1.0):
    """The moments of scans, when ``counts`` come one each ``step`` seconds."""
    pace, found = ScanPace(), []
    for n, count in enumerate(counts):
        at = n * step
        if pace.due(at, count, limit, suspected=suspected):
            pace.scanned(at, count, took_s)
            found.append(at)
    return found


def test_the_first_count_is_followed_by_a_scan():
    """So that what comes later is known to be new."""
    assert scans([100]) == [0.0]


def test_a_steady_count_is_looked_at_every_five_minutes():
    """Whatever its height."""
    assert scans([500] * 1000) == [0.0, 300.0, 600.0, 900.0]


def test_a_count_that_grows_is_looked_at_twice_a_minute():
    """Also if it is lower than at the last scan: it has grown since."""
    assert scans([100 + n // 8 for n in range(100)]) == [0.0, 32.0, 64.0, 96.0]
    assert scans([500] + [100 + n // 8 for n in range(40)])[1] == 33.0


def test_a_suspicion_is_followed_as_closely():
    """The trend has seen something."""
    assert scans([100] * 61, suspected=True) == [0.0, 30.0, 60.0]


def test_a_count_on_its_way_to_the_limit_is_looked_at_every_ten_seconds():
    """Within the hour."""
    assert scans([100 + n for n in range(31)]) == [0.0, 10.0, 20.0, 30.0]
    assert scans([100 + n for n in range(31)], limit=None) == [0.0, 30.0]


def test_scans_take_one_per_cent_of_a_cpu_at_most():
    """A hundred times as long as the last one took."""
    assert scans([100 + n for n in range(100)], took_s=0.5) == [0.0, 50.0]
