"""The live line on a terminal."""

import io

import pytest
from rich.console import Console

from holdfast.cli.map.live import LiveLine
from holdfast.cli.map.progress import Quiet, open_progress
from holdfast.cli.map.view import View
from holdfast.sense.own import OwnReading

VIEW = View(
    done=1,
    failed=1,
    in_flight=2,
    queued=0,
    per_second=1.0,
    fraction=0.5,
    left_s=1.0,
    stopping_s=None,
    own=OwnReading(1, 2, 3, 4_000_000),
)


def drawn(width=80, **console):
    """Draw one view on a terminal of ``width`` columns; returns what was sent to it."""
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=width, highlight=False, **console)
    with LiveLine(terminal) as live:
        live.note("importing x")
        live.show(VIEW)
        live.say("a sentence")
        live.show(VIEW)
    return screen.getvalue()


def test_the_line_is_drawn_in_place():
    """Note, figures and sentences follow each other in one line, which is gone at the end."""
    sent = drawn(color_system=None)

    assert "importing x" in sent
    assert "1 done" in sent
    assert "holdfast map: a sentence\n" in sent
    assert sent.count("\n") <= 3


def test_no_color_means_no_color():
    """``NO_COLOR`` leaves bold and the cursor, but no colour."""
    sent = drawn(color_system="standard", no_color=True)
    coloured = drawn(color_system="standard")

    assert "\x1b[36m" in coloured
    assert "\x1b[36m" not in sent
    assert "\x1b[32m" not in sent


@pytest.mark.parametrize("width", [10, 40, 60, 80, 200])
def test_no_line_is_as_wide_as_the_terminal(width):
    """There is room for the ``^C`` that the terminal echoes."""
    sent = drawn(width, color_system=None)

    lines = sent.replace("\r", "\n").replace("\x1b[2K", "").split("\n")
    figures = [line for line in lines if "done" in line or "%" in line]
    assert figures
    assert all(len(line) <= width - 2 for line in figures)


@pytest.mark.parametrize("term", ["dumb", "unknown", "", None])
def test_a_terminal_that_cannot_move_its_cursor_gets_no_live_line(monkeypatch, term):
    """Not even if it is a terminal."""
    monkeypatch.setattr("os.isatty", lambda _: True)
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)

    with open_progress() as progress:
        assert isinstance(progress, Quiet)


def test_standard_error_in_a_file_gets_sentences_only(capfd):
    """No figures, no escape sequences."""
    with open_progress() as progress:
        progress.note("importing")
        progress.show(VIEW)
        progress.say("a sentence")
        progress.abandon()

    assert capfd.readouterr().err == "holdfast map: a sentence\n"
