"""``holdfast.sense._process``: what could not be read, and what to do."""

import errno
import os
import pickle

import pytest

from holdfast.sense._process import Process


def test_a_process_that_is_not_there_is_named(tree):
    """With what may have hidden it."""
    process = Process(4711, tree.root)

    with pytest.raises(ProcessLookupError, match=r"no process 4711 can be seen.*hidepid"):
        process.read("status")


def test_a_missing_proc_is_named(tmp_path):
    """Rather than the process that would be in it."""
    process = Process(None, str(tmp_path))

    with pytest.raises(FileNotFoundError, match="proc is not mounted"):
        process.read("status")


@pytest.mark.parametrize(
    ("number", "kind", "told"),
    [
        (errno.EACCES, PermissionError, "or as root"),
        (errno.EMFILE, OSError, "no descriptor is left"),
        (errno.ENOENT, FileNotFoundError, "the kernel lacks it"),
        (errno.EIO, OSError, "can't be read: Input/output error"),
    ],
)
def test_an_error_says_what_to_do_and_survives_pickling(tree, number, kind, told):
    """Its class and number stay those of the system."""
    process = Process(None, tree.root)

    error = process.explain(OSError(number, os.strerror(number)), "fd")

    assert type(error) is kind
    assert error.errno == number
    assert f"{tree.root}/proc/self/fd" in str(error)
    assert told in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own


@pytest.mark.parametrize(("pid", "kind"), [(0, ValueError), (-1, ValueError), ("1", TypeError)])
def test_a_pid_is_a_whole_number_above_zero(pid, kind):
    """Zero and less mean groups of processes elsewhere."""
    with pytest.raises(kind, match="pid must be a whole number of at least 1"):
        Process(pid)


def test_this_process_is_self_whether_or_not_its_pid_is_given():
    """So that a /proc that hides other processes hides nothing of it."""
    assert Process(os.getpid()).folder == Process().folder == "/proc/self"
