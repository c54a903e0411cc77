"""Of which line a thread is that a library starts."""

import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.adapters.guard.starters import Starters

_LIBRARY = compile(
    "def start(find):\n    return find()\n"
    "def serve(find):\n    return start(find)\n"
    "def far(find, calls):\n    return far(find, calls - 1) if calls else start(find)\n",
    f"{sysconfig.get_path('stdlib')}/library.py",
    "exec",
)


@pytest.fixture
def library():
    """Functions of a library that start a thread for whoever calls them."""
    scope = {}
    exec(_LIBRARY, scope)  # noqa: S102 - code of no file
    return scope


@pytest.fixture
def find():
    """The function of the application at which a thread that is started now begins."""
    starters = Starters()

    def found():
        frame = sys._getframe(1)
        return starters.frames(frame, frame.f_code)[0][0].co_name

    return found


def test_a_thread_that_a_library_starts_is_of_who_called_it_now(find, library):
    """The library's line is the same, and the way to it equally long."""

    def one():
        return library["serve"](find)

    def other():
        return library["serve"](find)

    places = [call() for call in (one, one, other, other, one)]

    assert places == ["one", "one", "other", "other", "one"]


def test_a_thread_is_of_the_nearest_line_where_the_way_is_shorter_than_before(find, library):
    """What stood farther above is there, too, but at another distance."""

    def near():
        return library["start"](find)

    def one(fn):
        return fn(find) if fn is library["serve"] else fn()

    places = [one(fn) for fn in (library["serve"], near, library["serve"], near)]

    assert places == ["one", "near", "one", "near"]


def test_a_stack_that_ends_before_the_remembered_distance_is_walked(find, library):
    """So it is in a thread of its own."""

    def deep():
        return library["far"](find, 12)

    def one():
        return library["start"](find)

    with ThreadPoolExecutor(1) as pool:
        places = [deep(), pool.submit(one).result(), deep()]

    assert places == ["deep", "one", "deep"]


def test_a_line_of_the_application_itself_is_found_without_a_walk():
    """It is remembered like any other."""
    starters = Starters()

    def start():
        frame = sys._getframe(0)
        return starters.frames(frame, frame.f_code)

    first, second = [start() for _ in range(2)]

    assert first is second
    assert first[0][0] is start.__code__
