"""The live screen without a terminal: keys in, lines out."""

import itertools

import pytest
from tests.unit.cli.top.samples import found, pool

from holdfast.cli.top.keyboard import keys_of
from holdfast.cli.top.live import Screen

STACKS = {
    "threads": [
        {
            "name": f"holdfast:db-{n}",
            "stack": ["/srv/app.py:10 in fetch", "/lib/threading.py:1 in run"],
        }
        for n in range(3)
    ],
    "tasks": [{"name": "session-1", "stack": ["/srv/app.py:20 in session"]}],
    "more_tasks": 4,
}


class FakeSource:
    command = "python server.py"

    def __init__(self):
        self.looks = itertools.count()

    def take(self):
        number = next(self.looks)
        return found(100.0 + number, pools=[pool("b"), pool("a")], fds=number)

    def stacks(self):
        return STACKS


@pytest.fixture
def screen():
    screen = Screen(FakeSource())
    screen.renew()
    return screen


def text(screen):
    return "\n".join(line.plain for line in screen.lines(80, 24))


def test_s_sorts_by_the_next_column_and_r_reverses(screen):
    """The foot says by which."""
    screen.press("s")
    by_name = text(screen)
    screen.press("r")

    assert by_name.index("\na ") < by_name.index("\nb ")
    assert text(screen).index("\nb ") < text(screen).index("\na ")
    assert "sorted: name, reversed" in text(screen)


def test_f_freezes_and_goes_on(screen):
    """Frozen, the process is not looked at any more."""
    screen.press("f")
    screen.renew()
    assert "frozen" in text(screen)
    assert next(screen._source.looks) == 1

    screen.press("f")
    screen.renew()
    assert "frozen" not in text(screen)
    assert next(screen._source.looks) == 3


def test_d_shows_stacks_alike_ones_together_and_goes_back(screen):
    """Three workers at the same line are one entry."""
    screen.press("d")

    assert "3 threads holdfast:db-#" in text(screen)
    assert "  /srv/app.py:10 in fetch" in text(screen)
    assert "1 task session-#" in text(screen)
    assert "and 4 more tasks" in text(screen)

    screen.press("back")
    assert "LIMITS" in text(screen)


def test_stacks_scroll_and_never_past_their_end(screen):
    """Neither above the first line."""
    screen.press("d")
    screen.press("up")
    before = text(screen)
    screen.press("down")
    assert text(screen) != before
    for _ in range(50):
        screen.press("page down")
    assert "and 4 more tasks" in text(screen)


def test_q_ends_it(screen):
    """And other keys do nothing."""
    screen.press("x")
    assert not screen.ended
    screen.press("q")
    assert screen.ended


def test_keys_that_come_together_are_taken_apart():
    """A quick typist, and keys of several bytes."""
    assert keys_of(b"ss\x1b[B\x1bF q") == ["s", "s", "down", "back", "f", "f", "q"]
