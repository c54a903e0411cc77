"""The screen of ``holdfast top``: what stands in it, and that it fits."""

import pytest
from tests.unit.cli.top.samples import found, pool

from holdfast.cli.top.page import SORTS, Page, page
from holdfast.cli.top.tracks import Tracks


def drawn(seen, *more, **how):
    tracks = Tracks()
    for each in (seen, *more):
        tracks.add(each)
    last = (seen, *more)[-1]
    lines = page(last, tracks, Page("python server.py", **({"width": 80, "height": 24} | how)))
    return [line.plain for line in lines]


def line_of(lines, start):
    return next(line for line in lines if line.startswith(start))


def test_a_limit_is_a_bar_with_its_figures():
    """Of 1,024 descriptors 340 are a third of the bar."""
    line = line_of(drawn(found()), "descriptors")

    assert "340 of 1,024" in line
    assert (line.count("━"), line.count("─")) == (5, 9)
    assert "soft RLIMIT_NOFILE" in line


def test_a_forecast_stands_by_its_limit():
    """Instead of who sets the limit."""
    growing = {"name": "descriptors", "evidence": "strong", "per_minute": 8.2, "left_s": 54_000.0}

    line = line_of(drawn(found(trends=[growing]), width=120), "descriptors")

    assert "full in 15 h (strong, +8/min)" in line


def test_a_pool_shows_what_it_has_in_flight_queued_and_abandoned_and_its_pace():
    """The pace is that between two looks."""
    first = found(100.0, pools=[pool("db", completed=100)])
    then = found(
        102.0, pools=[pool("db", in_flight=4, limit=4, queued=45, abandoned=2, completed=150)]
    )

    words = line_of(drawn(first, then), "db").split()

    assert words[:2] == ["db", "━━━━"]
    assert words[2:8] == ["4/4", "45/1,000", "2", "25.0", "50", "ms"]
    assert "100 ms" in line_of(drawn(first, then), "db")


@pytest.mark.parametrize(
    ("sort", "first"), [("name", "a"), ("in flight", "b"), ("queued", "c"), ("p99", "c")]
)
def test_pools_are_sorted_by_what_was_chosen(sort, first):
    """The most first, names by the alphabet."""
    pools = [pool("b", in_flight=9), pool("a"), pool("c", queued=7, p99_s=3.0)]

    lines = drawn(found(pools=pools), sort=sort)

    at = next(n for n, line in enumerate(lines) if line.startswith("POOL"))
    assert lines[at + 1].startswith(first)
    assert sort in lines[-1]


def test_reversed_is_the_other_way_round():
    """As they were made, backwards."""
    lines = drawn(found(pools=[pool("a"), pool("b")]), reverse=True)

    at = next(n for n, line in enumerate(lines) if line.startswith("POOL"))
    assert [line[0] for line in lines[at + 1 : at + 3]] == ["b", "a"]


def test_a_program_that_shows_nothing_itself_is_told_how_it_could():
    """From outside there are no pools."""
    lines = drawn(found(served=False))

    assert "from outside" in lines[0]
    assert any("Monitor(serve=True)" in line for line in lines)


def test_who_holds_what_fills_the_rest_and_ends_with_what_was_left_out():
    """The sum of the others is told."""
    holders = [(f"tcp to 10.0.0.{n}:443", 100 - n) for n in range(50)]

    lines = drawn(found(holders=holders))

    assert "  100 tcp to 10.0.0.0:443" in lines
    left = next(line for line in lines if "other places" in line)
    told = sum(line.strip().partition(" ")[2].startswith("tcp") for line in lines)
    assert left == f"{sum(100 - n for n in range(told, 50)):>5,} in {50 - told} other places"


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("height", [5, 24, 40])
def test_it_fits_whatever_the_terminal(width, height):
    """No line is wider, and there are no more lines: a screen that scrolls can't be read."""
    holders = [("x" * 300, n) for n in range(30)]
    pools = [pool("p" * 50 + str(n), level="critical") for n in range(30)]

    lines = drawn(found(holders=holders, pools=pools), width=width, height=height)

    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert lines[-1].startswith("s sort")


def test_frozen_is_told():
    """Else old figures would be taken for new ones."""
    assert "frozen" in drawn(found(), frozen=True)[0]


def test_a_terminal_without_blocks_gets_plain_letters():
    """Nothing beyond ASCII."""
    lines = drawn(found(), found(101.0, fds=400), ascii_only=True)

    assert all(line.isascii() for line in lines)


def test_what_the_governor_has_done_is_shown():
    """If the snapshot tells it."""
    decision = {"at": 970.0, "share": 0.5, "paused": False, "reason": "memory is at 91 %"}

    lines = drawn(found(pools=[], at_wall=1000.0, decisions=[decision]))

    assert "    30 s ago     50%  memory is at 91 %" in lines


def test_a_level_has_its_colour():
    """Critical is red."""
    tracks, seen = Tracks(), found(level="critical")
    tracks.add(seen)

    head = page(seen, tracks, Page("x", 80, 24))[0]

    span = next(each for each in head.spans if each.style == "bold red")
    assert head.plain[span.start : span.end].strip() == "critical"


def test_every_sort_can_be_drawn():
    """Also of pools that have run nothing."""
    idle = pool("idle")
    idle["stats"]["run"] = {"count": 0, "total_s": 0.0, "p50_s": None, "p90_s": None, "p99_s": None}

    for sort in SORTS:
        assert line_of(drawn(found(pools=[idle]), sort=sort), "idle")


def test_a_name_can_not_steer_the_terminal():
    """Escape sequences in the name of a pool, or of a file, are shown as marks."""
    lines = drawn(found(pools=[pool("\x1b[2Jdb")], holders=[("file in \x1b]0;x\x07", 3)]))

    assert "\x1b" not in "".join(lines)
    assert line_of(lines, "?[2Jdb")
