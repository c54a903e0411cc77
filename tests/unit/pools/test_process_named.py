"""Functions that are sent by name: who is, and that a name which leads elsewhere is seen, on both sides."""

import functools
import marshal
import pickle
import sys
import types

import pytest

from holdfast.pools._child import wire
from holdfast.pools._child.names import Names
from holdfast.pools._process_named import MAIN, name_of
from holdfast.pools._process_payload import encode


def job(value):
    """What is sent."""
    return value


class Job:
    """What has a state of its own."""

    def __init__(self, state):
        self.state = state

    def __call__(self, value):
        return self.state, value

    def method(self, value):
        """Likewise."""
        return self.state, value


def named(fn):
    """Ask as the pool does, in a program that can be read again."""
    return name_of(fn, lambda: True)


def made(name, text):
    """A module with what ``text`` defines."""
    module = types.ModuleType(name)
    exec(text, module.__dict__)  # noqa: S102 - our own
    return module


def test_the_pickle_of_a_function_is_made_once():
    """The second call is sent the same bytes."""
    first = named(job)

    assert pickle.loads(first.data) is job  # noqa: S301 - our own
    assert named(job) is first
    assert pickle.loads(named(abs).data) is abs  # noqa: S301 - our own


@pytest.mark.parametrize(
    "fn",
    [
        Job(1),
        Job(1).method,
        functools.partial(job, 1),
        [].append,
        "a".join,
        lambda value: value,
        int,
        types.MethodType(job, 1),
    ],
    ids=repr,
)
def test_what_is_more_than_a_name_is_pickled_for_every_call(fn):
    """It may have changed since."""
    assert named(fn) is None
    assert named(fn) is None


def test_an_object_that_is_called_is_sent_as_it_is_at_the_call():
    """Its state is not that of the first call."""
    fn = Job(1)
    encode(fn, (0,), {}, shared=True)
    fn.state = 2

    _, message = encode(fn, (0,), {}, shared=True)

    assert pickle.loads(message[wire.HEAD_SIZE :])[0].state == 2  # noqa: S301 - our own


def test_a_function_that_is_no_longer_found_by_its_name_is_not_sent_by_it(monkeypatch):
    """The worker would find another one: pickle refuses it, or cloudpickle sends it whole."""
    module = made("made_here", "def fn(value): return value")
    monkeypatch.setitem(sys.modules, "made_here", module)
    fn = module.fn
    assert named(fn) is not None

    module.fn = lambda value: value

    assert named(fn) is None
    with pytest.raises(pickle.PicklingError, match="not the same object"):
        pickle.dumps(fn)


def test_a_function_whose_module_was_replaced_is_not_sent_by_name(monkeypatch):
    """A test suite that imports a module anew has two functions of one name."""
    module = made("made_here", "def fn(value): return value")
    monkeypatch.setitem(sys.modules, "made_here", module)
    assert named(module.fn) is not None

    monkeypatch.setitem(sys.modules, "made_here", made("made_here", "def fn(value): return value"))

    assert named(module.fn) is None


def test_a_function_of_the_main_program_says_that_it_is_needed(monkeypatch):
    """So that the worker reads that program before it looks; if it can't be read, pickle decides."""
    main = made("__main__", "def fn(value): return value")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setitem(sys.modules, "__mp_main__", None)

    assert name_of(main.fn, lambda: False) is None
    found = name_of(main.fn, lambda: True)

    assert MAIN in found.data
    assert found.kind & wire.NEEDS_MAIN
    assert sys.modules["__mp_main__"] is main


def test_a_worker_sees_that_a_name_leads_to_another_function(monkeypatch):
    """Because a call has put it there."""
    module = made("made_here", "def fn(value): return 1")
    monkeypatch.setitem(sys.modules, "made_here", module)
    names, data = Names(), pickle.dumps(module.fn, 5)
    assert names.find(data) is names.find(data) is module.fn

    module.fn = other = made("made_here", "def fn(value): return 2").fn

    assert names.find(data) is other


def test_a_message_by_name_is_two_pickles():
    """The kind says where the second one begins."""
    kind, message = encode(job, (bytearray(b"a"), 1), {}, shared=True)

    cut = wire.HEAD_SIZE + (kind >> wire.NAME_SHIFT)
    assert kind & 0xFF == wire.CALL_NAMED
    assert wire.HEAD.unpack_from(message) == (len(message) - wire.HEAD_SIZE, kind)
    assert Names().find(message[wire.HEAD_SIZE : cut]) is job
    assert pickle.loads(message[cut:]) == (bytearray(b"a"), 1)  # noqa: S301 - our own


PLAIN = (1, -(1 << 90), True, None, 1.5, float("inf"), "a\ud800\N{SNOWMAN}", b"\0a", "")


def test_numbers_and_texts_are_sent_plainly():
    """They are the same on the other side, and of the same types."""
    kind, message = encode(job, PLAIN, {}, shared=True)

    cut = wire.HEAD_SIZE + (kind >> wire.NAME_SHIFT)
    found = marshal.loads(message[cut:])  # noqa: S302 - our own
    assert kind & 0xFF == wire.CALL_PLAIN
    assert wire.HEAD.unpack_from(message) == (len(message) - wire.HEAD_SIZE, kind)
    assert Names().find(message[wire.HEAD_SIZE : cut]) is job
    assert found == PLAIN
    assert [type(value) for value in found] == [type(value) for value in PLAIN]


class Number(int):
    """Equal to what is plain, and more than that."""


@pytest.mark.parametrize("value", [Number(1), [1], (1,), bytearray(b"a")], ids=repr)
def test_what_is_more_than_a_number_or_a_text_is_pickled(value):
    """What would come out on the other side as something else, or shares its parts, is no plain value."""
    kind, _ = encode(job, (value,), {}, shared=True)

    assert kind & 0xFF in {wire.CALL_NAMED, wire.CALL}
