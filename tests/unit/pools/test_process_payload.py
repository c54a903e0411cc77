"""Calls as bytes, replies as outcomes, and the memory and the environment that processes share."""

import os
import pickle
import sys
import types

import pytest

from holdfast import ResultLost
from holdfast.pools import _process_payload as payload
from holdfast.pools._child import wire
from holdfast.pools._child.arena import Arena, make_arena_fd
from holdfast.pools._process_link import named_environment
from holdfast.pools._process_payload import INLINE, encode, read_reply
from holdfast.pools._process_supply import ProcessSupply

needs_memory = pytest.mark.skipif(make_arena_fd() < 0, reason="no memory without a name here")


@pytest.fixture
def arenas():
    """Both ends of a piece of shared memory."""
    fd = make_arena_fd()
    ends = Arena(fd), Arena(os.dup(fd))
    yield ends
    for end in ends:
        end.close()


def test_a_small_call_is_one_message():
    """Head and body, to be written in one step."""
    kind, message = encode(len, (["abc"],), {}, shared=True)

    assert kind == wire.CALL
    assert wire.HEAD.unpack_from(message) == (len(message) - wire.HEAD_SIZE, kind)
    assert pickle.loads(message[wire.HEAD_SIZE :]) == (len, (["abc"],), {})  # noqa: S301 - our own


def test_a_large_argument_is_pickled_when_it_is_sent():
    """Straight into shared memory, where there is any."""
    large = b"x" * (INLINE + 1)

    assert encode(len, (large,), {}, shared=True) == (wire.CALL_SHARED, None)
    kind, message = encode(len, (large,), {}, shared=False)
    assert kind == wire.CALL
    assert isinstance(message, bytes)


def test_simple_arguments_that_are_large_together_go_through_shared_memory():
    """Not into a pipe that might not take them."""
    many = ("x" * INLINE,) * 3

    kind, (data, buffers) = encode(max, many, {}, shared=True)

    assert kind == wire.CALL_SHARED
    assert (pickle.loads(data), buffers) == ((max, many, {}), [])  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        (b"if __name__ == '__main__':\n    main()\n", True),
        (b"def f(): pass\nif  '__main__' == __name__ : f()\n", True),
        (b"print(type(1).__name__)\n", False),
        (b"# if __name__ were here\nrun()\n", False),
    ],
)
def test_only_a_program_with_a_guard_is_read_again(text, readable, tmp_path, monkeypatch):
    """Another one would be run."""
    main = types.ModuleType("__main__")
    main.__file__ = str(tmp_path / "program.py")
    (tmp_path / "program.py").write_bytes(text)
    monkeypatch.setitem(sys.modules, "__main__", main)

    assert payload._can_be_read_again() is readable


def test_a_reply_that_cannot_be_read_is_a_lost_result():
    """With what went wrong as its cause."""
    value, error = read_reply(wire.VALUE, b"no pickle", Arena(-1))

    assert value is None
    assert isinstance(error, ResultLost)
    assert isinstance(error.__cause__, pickle.UnpicklingError)


@needs_memory
@pytest.mark.parametrize("size", [1, 100_000, 3 << 20])
def test_what_one_end_puts_into_the_arena_the_other_takes_out(arenas, size):
    """Growing as it must, again and again, with nothing that refers to it afterwards."""
    ours, theirs = arenas
    for _ in range(2):
        value = {"data": b"y" * size, "rest": [1, 2]}
        assert theirs.load(ours.dump(value)) == value
        assert ours.load(theirs.dump(value)) == value
        ours.shrink()


@needs_memory
def test_buffers_beside_a_pickle_keep_what_they_are(arenas):
    """Read-only or not."""
    ours, theirs = arenas
    found = theirs.load(
        ours.dump([pickle.PickleBuffer(bytearray(b"abc")), pickle.PickleBuffer(b"d" * 70)])
    )

    assert [bytes(one) for one in found] == [b"abc", b"d" * 70]
    assert isinstance(found[0], bytearray)


def test_the_environment_is_what_was_named(monkeypatch):
    """Or what any program needs."""
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("SOME_TOKEN", "secret")

    assert named_environment({"A": "b"}) == {"A": "b"}
    usual = named_environment(None)
    assert usual["LC_TIME"] == "C"
    assert "SOME_TOKEN" not in usual


class _Pool:
    def __init__(self, idle=0):
        self.idle = idle
        self.called = 0

    def refill(self):
        self.called += 1

    def spare_one(self):
        self.idle -= 1
        return self.idle >= 0


def test_places_for_processes_are_bounded_and_passed_on():
    """Who is denied one is called when one comes free."""
    supply = ProcessSupply()
    supply.find_limit = lambda: 2
    first, second = _Pool(), _Pool()

    assert supply.take(first)
    assert supply.take(first)
    assert not supply.take(second)
    supply.give_back()

    assert second.called == 1
    assert supply.take(second)
    supply.resize(1)
    supply.give_back()
    assert not supply.take(first)


def test_an_idle_process_goes_where_it_is_needed():
    """And when the bound is lowered."""
    supply = ProcessSupply()
    supply.find_limit = lambda: 2
    rich, poor = _Pool(idle=2), _Pool()
    assert supply.take(rich)
    assert supply.take(rich)
    assert not supply.take(poor)

    supply.reclaim(poor)
    assert rich.idle == 1
    supply.resize(1)
    assert rich.idle == 0
