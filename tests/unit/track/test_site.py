"""The frames of whoever asks: the application's, the innermost first."""

from holdfast.track._site import Frames, Site, caller_frames


def here(known: dict[int, Frames] | None = None) -> Frames:
    return caller_frames(1, known)


def one(known: dict[int, Frames] | None = None) -> Frames:
    return here(known)


def other(known: dict[int, Frames] | None = None) -> Frames:
    return here(known)


def names(frames: Frames) -> list[str]:
    return [told.rpartition(" in ")[2] for told in Site(frames).stack]


def test_at_most_three_frames_are_kept_the_innermost_first():
    """The line itself, and the two that have led to it."""

    def first():
        return one()

    assert [each.rpartition(".")[2] for each in names(first())] == ["here", "one", "first"]


def test_a_line_that_is_known_has_the_callers_that_it_had_the_first_time():
    """And other lines their own."""
    known: dict[int, Frames] = {}
    first, again = one(known), other(known)

    assert names(first)[:2] == ["here", "one"]
    assert again is first
    assert names(other())[:2] == ["here", "other"]


def test_what_is_known_keeps_the_code_so_that_no_other_gets_its_address():
    """Functions that are compiled anew at the same place are told apart."""
    known: dict[int, Frames] = {}
    for number in range(100):
        scope = {"caller_frames": caller_frames, "known": known}
        exec(f"def made_{number}(): return caller_frames(1, known)", scope)  # noqa: S102 - what it is about
        assert names(scope[f"made_{number}"]())[0] == f"made_{number}"
