"""The list of what may stay after a test."""

import pytest

from holdfast.testing._allowed import Allowed, from_lines, from_mapping


def test_a_line_has_a_kind_a_pattern_and_a_reason():
    """The reason stands after the last colon and space."""
    assert from_lines(["descriptor file /a: b/*: it is meant so"]) == (
        Allowed("descriptor", "file /a: b/*", "it is meant so"),
    )


def test_a_marker_says_the_same_as_a_mapping():
    """For one test."""
    assert from_mapping({"thread metrics-*": "one for all"}) == (
        Allowed("thread", "metrics-*", "one for all"),
    )


@pytest.mark.parametrize(
    ("entry", "kind", "label", "fits"),
    [
        ("thread metrics-*", "thread", "metrics-1", True),
        ("thread metrics-*", "task", "metrics-1", False),
        ("descriptor *", "socket", "tcp LISTEN", True),
        ("socket *", "descriptor", "pipe", False),
        ("thread Metrics", "thread", "metrics", False),
    ],
)
def test_an_entry_fits_its_kind_and_pattern(entry, kind, label, fits):
    """Sockets are descriptors as well; upper and lower case count."""
    (allowed,) = from_mapping({entry: "why"})

    assert allowed.fits(kind, label) is fits


@pytest.mark.parametrize("entry", ["thread", "thread ", "wires *", ""])
def test_an_entry_of_another_form_is_refused(entry):
    """With an example of the right one."""
    with pytest.raises(ValueError, match=r"thread metrics-\*: one for the whole process"):
        from_mapping({entry: "why"})
    with pytest.raises(ValueError, match="reason"):
        from_mapping({"thread *": " "})
