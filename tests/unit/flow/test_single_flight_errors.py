"""The error that each joiner gets: like the original, and its own."""

import asyncio
import errno
import json
import traceback

import pydantic
import pytest

from holdfast.flow import _flight_error, _flight_run as run_module
from holdfast.flow._flight_error import own_copy
from holdfast.flow.single_flight import SingleFlight


class Keyword(Exception):
    """Takes what it does not leave in ``args``, as the SDKs' errors do."""

    def __init__(self, message, *, status):
        super().__init__(message)
        self.status = status


class Slotted(Exception):
    """Keeps something outside its dictionary."""

    __slots__ = ("detail",)


class OfTheSystem(OSError):
    """Has a constructor of its own."""

    def __init__(self, number, text, extra):
        super().__init__(number, text)
        self.extra = extra


class Picky(Exception):
    """Can't be made by its arguments."""

    def __new__(cls, *, only):
        return super().__new__(cls, only)

    def __init__(self, *, only):
        self.only = only


class Group(ExceptionGroup):
    """Takes more than a group does."""

    def __new__(cls, message, errors, extra):
        made = super().__new__(cls, message, errors)
        made.extra = extra
        return made


def raised(call, *args):
    try:
        call(*args)
    except Exception as error:  # noqa: BLE001 - whatever it raises is wanted
        return error
    raise AssertionError


def slotted():
    error = Slotted("why")
    error.detail = 5
    return error


ORIGINALS = {
    "plain": ValueError("why", 1),
    "without arguments": KeyError(),
    "keyword": Keyword("why", status=429),
    "slots": slotted(),
    "system": FileNotFoundError(errno.ENOENT, "no such thing", "file", None, "other"),
    "system with a constructor": OfTheSystem(errno.EPERM, "not yours", {"a": 1}),
    "partly written": BlockingIOError(errno.EAGAIN, "later", 7),
    "picky": Picky(only=3),
    "group": ExceptionGroup("some", [ValueError(1), KeyError(2)]),
    "group with more": Group("some", [ValueError(1)], 7),
    "json": raised(json.loads, "{"),
    "unicode": raised(b"\xff".decode),
    "syntax": raised(compile, "a b", "file", "exec"),
    "attribute": raised(getattr, object(), "nothing"),
    "import": raised(__import__, "no_such_module"),
    "stop": StopIteration(4),
}

FIELDS = (
    *(
        "status",
        "detail",
        "only",
        "extra",
        "errno",
        "strerror",
        "filename",
        "filename2",
        "pos",
        "doc",
    ),
    *("characters_written", "start", "end", "reason", "encoding", "object", "lineno", "text"),
    *("msg", "name", "path", "obj", "value", "message", "exceptions"),
)


@pytest.mark.parametrize("original", ORIGINALS.values(), ids=ORIGINALS.keys())
def test_a_copy_is_like_the_original(original):
    """Its class, its text, and every field, wherever the class keeps it."""
    copy = own_copy(original)

    assert copy is not original
    assert type(copy) is type(original)
    assert (str(copy), copy.args) == (str(original), original.args)
    for name in FIELDS:
        assert getattr(copy, name, "absent") is getattr(original, name, "absent") or getattr(
            copy, name
        ) == getattr(original, name)


@pytest.mark.parametrize("original", ORIGINALS.values(), ids=ORIGINALS.keys())
def test_the_original_is_the_cause_of_its_copy(original):
    """And the copy has no traceback yet, whatever that of the original."""
    before = original.__traceback__

    copy = own_copy(original)

    assert copy.__cause__ is original
    assert copy.__traceback__ is None
    assert original.__traceback__ is before


def test_the_notes_of_a_copy_are_its_own():
    """It begins with those of the original."""
    original = ValueError("why")
    original.add_note("in item 17")

    copy = own_copy(original)
    copy.add_note("seen by one caller")

    assert copy.__notes__ == ["in item 17", "seen by one caller"]
    assert original.__notes__ == ["in item 17"]


def test_the_constructor_of_the_class_is_not_called_again():
    """It may count, log, or connect."""
    made = []

    class Counted(Exception):
        def __init__(self, text):
            super().__init__(text)
            made.append(text)

    own_copy(Counted("once"))

    assert made == ["once"]


def test_an_error_of_an_extension_module_is_copied_its_own_way():
    """Its content is nowhere that Python can see."""
    original = raised(pydantic.TypeAdapter(int).validate_python, "x")
    assert isinstance(original, pydantic.ValidationError)

    copy = own_copy(original)

    assert copy is not original
    assert copy.errors() == original.errors()
    assert copy.__cause__ is original


class Stubborn(ValueError):
    """Answers in an odd way when it is to be copied."""

    answer = None

    def __copy__(self):
        if self.answer is None:
            raise TypeError
        return self.answer


@pytest.mark.parametrize("answer", [None, KeyError("another kind"), "itself"], ids=repr)
def test_what_can_not_be_copied_is_shared(answer, monkeypatch):
    """Better the right error than none."""
    original = Stubborn("why")
    original.answer = original if answer == "itself" else answer

    def refuse(_):
        raise TypeError  # as if the class came from an extension module

    monkeypatch.setattr(_flight_error, "_blank", refuse)

    assert own_copy(original) is original
    assert original.__cause__ is None


async def test_a_shared_error_does_not_collect_the_frames_of_those_who_share_it(monkeypatch):
    """The traceback that each of them sees is as long as the first one's."""
    monkeypatch.setattr(run_module, "own_copy", lambda error: error)
    flight = SingleFlight()

    async def fail():
        await asyncio.sleep(0)
        raise KeyError

    async def seen():
        try:
            await flight.run("k", fail)
        except KeyError as error:
            return len(list(traceback.walk_tb(error.__traceback__)))

    lengths = await asyncio.gather(*(seen() for _ in range(20)))

    assert len(set(lengths[1:])) == 1
