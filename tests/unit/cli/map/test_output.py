"""OUTPUT is opened so that nothing in it is lost, and mended where a run was killed."""

import fcntl
import os

import pytest
from hypothesis import given, settings, strategies as st

from holdfast.cli.map.item import Item
from holdfast.cli.map.key import line_key
from holdfast.cli.map.options import MapOptions
from holdfast.cli.map.output import open_output
from holdfast.cli.map.record import error_line, parse_line, value_line
from holdfast.cli.map.user_error import UserError


def done_line(index, value="v"):
    """The line of an item that was done."""
    return value_line(Item(index, index + 1, line_key(index + 1, b"x"), None), value, 1, 0.0)


def failed_line(index, attempts=1):
    """The line of an item that failed; without attempts, of a line that could not be read."""
    item = Item(index, index + 1, line_key(index + 1, b"x"), None)
    return error_line(item, "E", "m", attempts, 0.0)


def open_it(path, input_fd=-1, **options):
    """Open ``path`` as OUTPUT; returns it with the sentences that were said."""
    said = []
    asked = MapOptions(target="t", source="in", output=str(path), **options)
    return open_output(asked, input_fd=input_fd, stdout_fd=1, tell=said.append), said


def refused(path, input_fd=-1, **options):
    """The sentence with which ``path`` is refused."""
    with pytest.raises(UserError) as error:
        open_it(path, input_fd, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_new_output_is_made_and_appended_to(tmp_path):
    """Each line is in the file as soon as it is written."""
    path = tmp_path / "out"
    output, _ = open_it(path)

    output.sink.write(b"one\n")
    first = path.read_bytes()
    output.sink.write(b"two\n")
    output.sink.close()

    assert first == b"one\n"
    assert path.read_bytes() == b"one\ntwo\n"


def test_an_output_that_holds_something_is_refused_and_untouched(tmp_path):
    """Without a word about it, nothing that may have cost money is overwritten."""
    path = tmp_path / "out"
    path.write_bytes(b"precious\n")

    sentence = refused(path)

    assert "holds 9 bytes" in sentence
    assert "--resume" in sentence
    assert "--overwrite" in sentence
    assert path.read_bytes() == b"precious\n"


def test_overwrite_begins_anew(tmp_path):
    """Where it was asked for, what was there goes."""
    path = tmp_path / "out"
    path.write_bytes(b"old\n")

    output, _ = open_it(path, overwrite=True)
    output.sink.write(b"new\n")
    output.sink.close()

    assert path.read_bytes() == b"new\n"


def test_two_runs_cannot_write_one_output(tmp_path):
    """The second one is refused, even if it was told to overwrite."""
    path = tmp_path / "out"
    output, _ = open_it(path)
    output.sink.write(b"mine\n")

    sentence = refused(path, overwrite=True)
    output.sink.close()

    assert "another run is writing" in sentence
    assert path.read_bytes() == b"mine\n"


def test_the_lock_is_given_back(tmp_path):
    """After the first run the second one may write."""
    path = tmp_path / "out"
    open_it(path)[0].sink.close()

    open_it(path)[0].sink.close()


def test_a_file_that_was_replaced_while_it_was_locked_is_opened_again(tmp_path, monkeypatch):
    """A run that rewrote OUTPUT in between has given the name to another file."""
    path, other = tmp_path / "out", tmp_path / "other"
    other.write_bytes(b"")
    real = fcntl.flock
    waiting = [other]

    def lock(fd, how):
        real(fd, how)
        if waiting:
            waiting.pop().replace(path)

    monkeypatch.setattr(fcntl, "flock", lock)
    output, _ = open_it(path)
    output.sink.write(b"here\n")
    output.sink.close()

    assert path.read_bytes() == b"here\n"


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_the_input_is_never_the_output(tmp_path, options):
    """Not by the same name, and not through a link."""
    path, link = tmp_path / "in", tmp_path / "link"
    path.write_bytes(b"1\n")
    link.symlink_to(path)
    fd = os.open(path, os.O_RDONLY)

    sentence = refused(link, fd, **options)
    os.close(fd)

    assert "same file as INPUT" in sentence
    assert path.read_bytes() == b"1\n"


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    """The sentence says which folder is missing."""
    assert f"no folder {tmp_path / 'no'}" in refused(tmp_path / "no" / "out")


def test_a_folder_is_no_output(tmp_path):
    """A folder can't be written to."""
    assert "it is a folder" in refused(tmp_path)


def test_what_can_not_be_read_again_can_not_be_resumed():
    """Resuming needs a regular file."""
    assert "no regular file" in refused("/dev/null", resume=True)


def test_a_device_is_written_to_as_it_is():
    """``/dev/null`` and pipes have no lines that could be counted."""
    output, _ = open_it("/dev/null")

    output.sink.write(b"gone\n")
    output.sink.close()

    assert not output.sink.is_file


def test_resuming_where_nothing_is_begins(tmp_path):
    """So that one command line serves the first run and all others."""
    output, said = open_it(tmp_path / "out", resume=True)
    output.sink.close()

    assert output.past is not None
    assert output.past.settled == 0
    assert said == []


@settings(max_examples=300)
@given(
    values=st.lists(st.text(max_size=20), max_size=6),
    lost=st.integers(0, 400),
    garbage=st.booleans(),
)
def test_any_torn_tail_is_mended(tmp_path_factory, values, lost, garbage):
    """Cut anywhere: all lines that were whole stay, nothing but whole lines remains."""
    lines = [done_line(index, value) for index, value in enumerate(values)]
    whole = b"".join(lines)
    cut = whole[: max(0, len(whole) - lost)]
    if garbage and cut and not cut.endswith(b"\n"):
        cut = cut[:-1] + b"\x00"  # what a machine that lost its power may leave
    path = tmp_path_factory.mktemp("mend") / "out"
    path.write_bytes(cut)
    kept = cut[: cut.rfind(b"\n") + 1]
    torn = cut[len(kept) :]
    mended = kept + torn + b"\n" if parse_line(torn) else kept

    output, said = open_it(path, resume=True)
    output.sink.write(b"next\n")
    output.sink.close()

    assert path.read_bytes() == mended + b"next\n"
    assert len(said) == bool(torn)
    assert output.past is not None
    assert output.past.done == mended.count(b"\n")


def test_a_last_line_that_only_lacks_its_end_is_kept(tmp_path):
    """It is whole, and what is in it may have cost money."""
    path = tmp_path / "out"
    path.write_bytes(done_line(0) + done_line(1)[:-1])

    output, said = open_it(path, resume=True)
    output.sink.close()

    assert path.read_bytes() == done_line(0) + done_line(1)
    assert output.past is not None
    assert output.past.done == 2
    assert "no end" in said[0]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"my notes", 1),
        (b"my notes\nand more\n", 1),
        (done_line(0) + b"my notes\n" + done_line(1), 2),
        (done_line(0) + b"my notes", 2),
        (done_line(0) + b"\x00" * 40 + b"\n", 2),
    ],
)
@pytest.mark.parametrize("retry_failed", [False, True])
def test_a_file_of_something_else_is_neither_mended_nor_resumed(
    tmp_path, content, line, retry_failed
):
    """The line that no run has written is named, and the file stands as it was."""
    path = tmp_path / "out"
    path.write_bytes(content)

    sentence = refused(path, resume=True, retry_failed=retry_failed)

    assert f"line {line} of" in sentence
    assert path.read_bytes() == content


@pytest.mark.parametrize("key", [None, "id"])
def test_keys_of_the_other_kind_are_refused(tmp_path, key):
    """A run that would find nothing again would do everything twice."""
    path = tmp_path / "out"
    by_line = done_line(0)
    by_field = value_line(Item(0, 1, '"a"', None), 1, 1, 0.0)
    path.write_bytes(by_field if key is None else by_line)

    sentence = refused(path, resume=True, key=key)

    assert "--key" in sentence


def test_failed_lines_are_taken_out_to_be_run_again(tmp_path):
    """So that an item that succeeds now does not stand there twice."""
    path = tmp_path / "out"
    path.write_bytes(done_line(0) + failed_line(1) + done_line(2))
    path.chmod(0o640)

    output, _ = open_it(path, resume=True, retry_failed=True)
    output.sink.write(done_line(1))
    output.sink.close()

    assert path.read_bytes() == done_line(0) + done_line(2) + done_line(1)
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]
    assert output.past is not None
    assert output.past.settled == 2


def test_failed_lines_stay_where_nobody_asked_for_another_try(tmp_path):
    """A plain ``--resume`` leaves them as they are."""
    path = tmp_path / "out"
    path.write_bytes(done_line(0) + failed_line(1))

    output, _ = open_it(path, resume=True)
    output.sink.close()

    assert path.read_bytes() == done_line(0) + failed_line(1)
    assert output.past is not None
    assert output.past.settled == 2


def test_lines_that_could_not_be_read_are_always_looked_at_again(tmp_path):
    """Reading them costs nothing, and they may have been mended in the meantime."""
    path = tmp_path / "out"
    path.write_bytes(done_line(0) + failed_line(1, attempts=0) + failed_line(2))

    output, _ = open_it(path, resume=True)
    output.sink.close()

    assert path.read_bytes() == done_line(0) + failed_line(2)


def test_a_rewritten_output_is_still_locked(tmp_path):
    """The lock goes over to the new file with the name."""
    path = tmp_path / "out"
    path.write_bytes(failed_line(0))
    output, _ = open_it(path, resume=True, retry_failed=True)

    sentence = refused(path, overwrite=True)
    output.sink.close()

    assert "another run" in sentence


def test_a_link_stays_a_link_when_its_file_is_rewritten(tmp_path):
    """The file behind the link is replaced, not the link."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(failed_line(0) + done_line(1))
    link.symlink_to(real)

    output, _ = open_it(link, resume=True, retry_failed=True)
    output.sink.close()

    assert link.is_symlink()
    assert real.read_bytes() == done_line(1)


def test_a_rewrite_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    """A full disk at that moment costs nothing but the run."""
    path = tmp_path / "out"
    path.write_bytes(failed_line(0) + done_line(1))

    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    sentence = refused(path, resume=True, retry_failed=True)

    assert "No space left" in sentence
    assert path.read_bytes() == failed_line(0) + done_line(1)
    assert list(tmp_path.iterdir()) == [path]


def test_a_copy_left_by_a_killed_run_is_in_nobody_s_way(tmp_path):
    """It is taken away by the next rewrite."""
    path = tmp_path / "out"
    path.write_bytes(failed_line(0))
    (tmp_path / ".out.rewrite").write_bytes(b"left over")

    output, _ = open_it(path, resume=True, retry_failed=True)
    output.sink.close()

    assert path.read_bytes() == b""
    assert list(tmp_path.iterdir()) == [path]
