"""Parts of ``holdfast run`` that need no process of their own."""

import re

import pytest

from holdfast.adapters._patches import Patches
from holdfast.cli.run.split import split
from holdfast.watch._report_plot import plot
from holdfast.watch.finding import Finding
from holdfast.watch.history import Point
from holdfast.watch.report import Report, Series, Table
from holdfast.watch.report_html import report_html
from holdfast.watch.report_text import in_brief, report_text


@pytest.mark.parametrize(
    ("args", "ours"),
    [
        (["x.py", "--observe"], []),
        (["--observe", "x.py", "--log", "y"], ["--observe"]),
        (["--log", "f", "-m", "mod", "--log", "g"], ["--log", "f"]),
        (["--log=f", "--", "--observe"], ["--log=f"]),
        ([], []),
    ],
)
def test_what_follows_the_program_is_its_own(args, ours):
    """Options of ours end where the program begins."""
    assert split(args, {"--log"}) == (ours, args[len(ours) :])


class _Owner:
    kept = 1


def test_what_was_replaced_is_put_back_unless_somebody_else_has_replaced_it():
    """A patch over ours is not undone."""
    owner = type("Owner", (_Owner,), {"a": 1, "b": 2})
    patches = Patches()
    for name in ("a", "b", "kept", "new"):
        patches.set(owner, name, name)
    owner.b = "theirs"
    patches.undo()
    assert (owner.a, owner.b, owner.kept) == (1, "theirs", 1)
    assert "kept" not in vars(owner)
    assert not hasattr(owner, "new")


REPORT = Report(
    reason="exit <now>",
    command="python app.py",
    facts=(("process", "1"),),
    findings=(
        Finding("warning", "held", "40 <files> are open.", "Means.", "Close.", ("app.py:3 in f",)),
        Finding("note", "peak", "Many were.", "Means.", "Bound."),
    ),
    series=(
        Series("descriptors", tuple(Point(i, i, i + 1, i + 2) for i in range(50)), 100, "a limit"),
    ),
    tables=(Table("Lines", ("open", "line"), (("40", "app.py:3 in <lambda>"),)),),
)


def test_a_report_on_a_terminal_has_no_notes():
    """In brief is what is worse."""
    told = in_brief(REPORT, path="r.html")
    assert "40 <files>" in told
    assert "r.html" in told
    assert "Many were" not in told


def test_a_report_as_text_has_all():
    """Findings, readings with their bound, tables."""
    told = report_text(REPORT)
    for part in ("Many were.", "app.py:3 in <lambda>", "descriptors: 0, 50, 51, 100 (a limit)"):
        assert part in told


def test_words_of_the_program_are_no_markup():
    """What it is called, and what it opened, can't change the page."""
    page = report_html(REPORT)
    assert "<lambda>" not in page
    assert "40 &lt;files&gt;" in page


def test_a_plot_stays_inside_of_its_frame():
    """Whatever the values: every point, and the bound, is in the picture."""
    for scale in (0.001, 1, 7e9):
        points = tuple(Point(i, i * scale, i * scale, i * scale) for i in range(30))
        picture = plot(Series("threads", points, 30 * scale))
        for x, y in re.findall(r"([\d.-]+),([\d.-]+)", picture):
            assert 0 <= float(x) <= 560
            assert 0 <= float(y) <= 180


def test_one_point_is_no_plot():
    """Nor is none."""
    assert plot(Series("threads", (Point(0, 1, 1, 1),))) == ""
