"""Standard input and output are kept for the data."""

import os
import subprocess
import sys

import pytest

from holdfast.cli.map import stdio
from holdfast.cli.map.stdio import claimed_stdin, claimed_stdout
from holdfast.cli.map.user_error import UserError


def test_what_the_function_prints_goes_to_standard_error(capfd):
    """Also from a program that it starts; the results alone go to standard output."""
    with claimed_stdout() as private:
        sys.stdout.write("from print\n")
        subprocess.run(["/bin/echo", "from a child"], check=True)
        os.write(private, b"result\n")

    out, err = capfd.readouterr()
    assert out == "result\n"
    assert sorted(err.splitlines()) == ["from a child", "from print"]


def test_afterwards_standard_output_is_as_it_was(capfd):
    """The process may live on: in a test, in a shell of Python."""
    with claimed_stdout():
        pass

    sys.stdout.write("again\n")
    sys.stdout.flush()

    assert capfd.readouterr().out == "again\n"


def test_nobody_else_can_read_the_input():
    """A child that reads its standard input finds it at its end, and swallows nothing."""
    reader, writer = os.pipe()
    os.write(writer, b"ours\n")
    os.close(writer)
    before = os.dup(0)
    os.dup2(reader, 0)
    os.close(reader)

    with claimed_stdin() as private:
        child = subprocess.run(["/bin/cat"], capture_output=True, check=True)
        ours = os.read(private, 100)
    os.dup2(before, 0)
    os.close(before)

    assert child.stdout == b""
    assert ours == b"ours\n"


def test_a_closed_standard_output_is_said_in_a_sentence(monkeypatch):
    """``>&-`` leaves nothing to write to."""

    def closed(_fd):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(stdio.os, "dup", closed)

    with pytest.raises(UserError, match="there is no standard output"), claimed_stdout():
        pass
