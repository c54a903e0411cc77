"""What a call in a worker process prints: it has left the worker before the answer does."""

import io
import sys

import pytest

from holdfast.pools._child.worker import _flushers


class Watched(io.TextIOWrapper):
    """A stream of somebody's own, with a flush of its own."""

    flushed = 0

    def flush(self):
        """Count."""
        self.flushed += 1
        super().flush()


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("text", ["half a line", "a line\n", "x" * 20_000])
def test_what_was_printed_has_left_after_the_flush(name, text, tmp_path, monkeypatch):
    """Whole lines or not, and nothing before that has to be asked for its text layer."""
    path = tmp_path / "printed"
    with path.open("w") as stream:
        monkeypatch.setattr(sys, name, stream)
        flush = _flushers()[name == "stderr"]

        for _ in range(2):
            stream.write(text)
            flush()

        assert path.read_text() == 2 * text
        monkeypatch.undo()


def test_a_stream_of_another_kind_is_flushed_as_it_wants_to_be(monkeypatch):
    """Whoever has put it there may do something as it is flushed."""
    stream = Watched(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stream)
    before = stream.flushed

    _flushers()[0]()

    assert stream.flushed == before + 1


def test_a_stream_that_is_not_there_is_not_flushed(monkeypatch):
    """A program without a console has none."""
    monkeypatch.setattr(sys, "stderr", None)

    assert _flushers()[1]() is None
