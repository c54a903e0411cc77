"""From lines to items."""

import json

import pytest
from hypothesis import given, strategies as st

from holdfast.cli.map.intake import BadLineError, Intake
from holdfast.cli.map.item import Item
from holdfast.cli.map.key import FieldKey, line_key
from holdfast.cli.map.record import error_line, parse_line, value_line
from holdfast.cli.map.resume import Past


def past_of(*lines):
    """What a run that wrote ``lines`` has settled."""
    past = Past()
    for line in lines:
        past.add(parse_line(line))
    return past


def test_blank_lines_count_as_lines_but_not_as_items():
    """Line numbers are those of an editor; indexes count what is to be done."""
    intake = Intake("in")

    items = [intake.take(line) for line in (b"1", b"", b"  \t", b"2")]

    assert [(i.index, i.line, i.value) for i in items if i] == [(0, 1, 1), (1, 4, 2)]
    assert (intake.lines, intake.seen) == (4, 2)


def test_a_byte_order_mark_at_the_start_is_no_part_of_the_first_item():
    """Some editors write one; anywhere else it is a character like any other."""
    intake = Intake("in", raw=True)

    first, second = intake.take(b"\xef\xbb\xbfone"), intake.take(b"\xef\xbb\xbftwo")

    assert first is not None
    assert second is not None
    assert (first.value, second.value) == ("one", "\ufefftwo")


def test_raw_lines_are_passed_on_as_they_stand():
    """With ``--raw`` nothing is decoded, and blanks inside and around are kept."""
    item = Intake("in", raw=True).take(b' {"a": 1} ')

    assert item is not None
    assert item.value == ' {"a": 1} '


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (b"{", "is not JSON: Expecting property name"),
        (b"{'a': 1}", "column 2"),
        (b"1 2", "is not JSON: Extra data at column 3"),
        (b"NaN", "is not JSON: NaN is not a JSON value"),
        (b"[-Infinity]", "-Infinity is not a JSON value"),
        (b"\xffabc", "is not UTF-8: byte 0xff at column 1"),
        (b"ab\xc3", "is not UTF-8: byte 0xc3 at column 3"),
        (b"\xff\xfe{\x00", "it looks like UTF-16"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "is not JSON"),
    ],
)
def test_a_bad_line_says_what_is_wrong_with_it(line, part):
    """Each kind of bad line has its sentence; the line number is the caller's."""
    intake = Intake("in")

    with pytest.raises(BadLineError) as error:
        intake.take(line)

    assert part in str(error.value)
    assert intake.seen == 0


def test_a_bad_line_becomes_an_item_where_that_was_asked_for():
    """It keeps its place in the count, and a key of its own."""
    intake = Intake("in", skip_bad=True)

    bad, good = intake.take(b"{"), intake.take(b"1")

    assert bad is not None
    assert good is not None
    assert bad.bad is not None
    assert (bad.index, bad.key) == (0, line_key(1, b"{"))
    assert good.index == 1


def test_a_key_that_stands_twice_is_refused_and_both_lines_are_named():
    """With ``--key``, two items of one key could not be told apart in OUTPUT."""
    intake = Intake("in", key=FieldKey("id"))
    intake.take(b'{"id": 1}')
    intake.take(b"")

    with pytest.raises(BadLineError, match="has the key 1, which line 1 has already"):
        intake.take(b'{"id": 1}')


def test_a_duplicate_that_is_skipped_does_not_take_the_first_one_s_name():
    """It is recorded under its line, so that OUTPUT has one line for each key."""
    intake = Intake("in", key=FieldKey("id"), skip_bad=True)

    first, second = intake.take(b'{"id": 1}'), intake.take(b'{"id": 1}')

    assert first is not None
    assert second is not None
    assert first.key == "1"
    assert second.key == line_key(2, b'{"id": 1}')


def test_what_is_done_is_skipped_and_keeps_its_index():
    """The index of an item is the same in every run over the same input."""
    done = value_line(Item(0, 1, line_key(1, b"1"), None), 1, 1, 0.0)
    failed = error_line(Item(1, 2, line_key(2, b"2"), None), "E", "m", 1, 0.0)
    intake = Intake("in", past=past_of(done, failed))

    items = [intake.take(line) for line in (b"1", b"2", b"3")]

    assert [item and item.index for item in items] == [None, None, 2]
    assert (intake.skipped_done, intake.skipped_failed, intake.seen) == (1, 1, 3)


def test_failed_items_come_again_where_that_was_asked_for():
    """After their lines were taken out of OUTPUT they count as never run."""
    past = past_of(error_line(Item(0, 1, line_key(1, b"1"), None), "E", "m", 1, 0.0))
    past.forget_failed()
    intake = Intake("in", past=past)

    item = intake.take(b"1")

    assert item is not None
    assert item.index == 0


def test_an_edited_line_is_another_item():
    """Without ``--key`` an item is its line: number and content."""
    intake = Intake("in", past=past_of(value_line(Item(0, 1, line_key(1, b"1"), 0), 1, 1, 0.0)))

    assert intake.take(b"2") is not None


@given(
    ids=st.lists(st.integers() | st.text(), unique_by=json.dumps, max_size=30),
    cut=st.integers(0, 30),
    keyed=st.booleans(),
)
def test_two_runs_take_every_item_exactly_once(ids, cut, keyed):
    """Whatever the keys and wherever the first run stopped: nothing twice, nothing left out."""
    lines = [json.dumps({"id": i}).encode() for i in ids]
    key = FieldKey("id") if keyed else None
    first = Intake("in", key=key)
    before = [item for line in lines[:cut] if (item := first.take(line))]
    past = past_of(*(value_line(item, item.value, 1, 0.0) for item in before))

    second = Intake("in", key=key, past=past)
    after = [item for line in lines if (item := second.take(line))]

    assert [item.index for item in before + after] == list(range(len(ids)))
    assert [item.value["id"] for item in before + after] == ids
