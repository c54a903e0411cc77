"""What can be asked for, and what is told of the rest."""

from pathlib import Path

import pytest

from holdfast.track.process.result import ProcessResult
from holdfast.track.process.spec import make_spec


def test_words_may_be_paths():
    """As for the standard library."""
    spec = make_spec([Path("/bin/true"), "x"])

    assert spec.args == spec.shown == ("/bin/true", "x")


def test_a_line_for_the_shell_is_one_string():
    """Shown as it was given."""
    spec = make_spec("a | b", shell=True)  # noqa: S604 - nothing is run

    assert spec.args == ("/bin/sh", "-c", "a | b")
    assert spec.shown == ("a | b",)


@pytest.mark.parametrize(
    ("cmd", "options", "kind", "says"),
    [
        ("git log", {}, TypeError, "list of words"),
        (["git"], {"shell": True}, TypeError, "one string"),
        ([], {}, ValueError, "at least one word"),
        (["x"], {"timeout": 0}, ValueError, "more than 0"),
        (["x"], {"timeout": "1"}, TypeError, "seconds"),
        (["x"], {"kill_grace": -1}, ValueError, "0 or more"),
        (["x"], {"kill_grace": None}, TypeError, "not None"),
        (["x"], {"max_output_bytes": -1}, ValueError, "at least 0"),
        (["x"], {"stdout": "keep"}, ValueError, "'capture', 'discard'"),
        (["x"], {"stderr": "keep"}, ValueError, "'stdout'"),
        (["x"], {"input": "text"}, TypeError, "encode"),
        (["x"], {"max_output": 1}, TypeError, "max_output_bytes"),
    ],
)
def test_a_bad_argument_is_told_before_anything_starts(cmd, options, kind, says):
    """With what would do."""
    with pytest.raises(kind, match=says):
        make_spec(cmd, **options)


def test_a_result_tells_the_signal():
    """By its name, where it has one."""
    killed = ProcessResult(args=("x",), pid=1, returncode=-9)
    real_time = ProcessResult(args=("x",), pid=1, returncode=-50)
    fine = ProcessResult(args=("x",), pid=1, returncode=0, stdout=b"\xffhi")

    assert killed.signal.name == "SIGKILL"
    assert real_time.signal == 50
    assert fine.signal is None
    assert fine.ok
    assert not killed.ok
    assert fine.text == "\N{REPLACEMENT CHARACTER}hi"
