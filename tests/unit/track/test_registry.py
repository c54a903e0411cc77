"""What is open: by owner, with line and age."""

import asyncio
import gc
import io
import socket
import sqlite3
import threading

import pytest

import holdfast
from holdfast.track import DESCRIPTORS, opened, report, untrack
from holdfast.track._registry import REGISTRY, Registry
from holdfast.track._site import Site, caller


class Client:
    """Something with a close."""

    def __init__(self):
        self.closings = 0

    def close(self):
        self.closings += 1


def _open():
    return open("/dev/null")


def _mine():
    return [one for one in opened() if one.where.startswith(__file__)]


def test_a_tracked_thing_has_owner_line_and_age(fake_clock):
    """The line is the caller's."""
    client = holdfast.track(Client(), name="llm")
    fake_clock.advance(3)
    (one,) = _mine()

    assert (one.name, one.owner, one.age_s) == ("llm", "process", 3.0)
    assert one.kind.endswith("Client")
    assert one.where.endswith("in test_a_tracked_thing_has_owner_line_and_age")
    assert f"opened 3.0 s ago at {__file__}" in str(one)
    assert untrack(client)
    assert not untrack(client)


def test_the_function_is_found_under_both_its_names():
    """``holdfast.track`` is the package as soon as anybody has imported it, and can be called all the same."""
    client = Client()

    assert holdfast.track(client) is client
    assert holdfast.track.track(client) is client
    assert len(_mine()) == 1
    untrack(client)


@pytest.mark.parametrize("make", [Client, io.StringIO, _open, socket.socket], ids=str)
def test_what_is_collected_leaves_no_record(make):
    """The registry keeps nothing alive."""
    thing = holdfast.track(make())
    assert len(_mine()) == 1
    if hasattr(thing, "fileno") and not isinstance(thing, io.StringIO):
        thing.close()
    del thing
    gc.collect()

    assert _mine() == []


@pytest.mark.parametrize("make", [io.StringIO, _open, socket.socket], ids=str)
def test_what_is_closed_leaves_no_record(make):
    """Although somebody still refers to it."""
    thing = holdfast.track(make())
    thing.close()

    assert _mine() == []


def test_closed_things_do_not_pile_up():
    """Without anybody looking: the table is swept when it has doubled."""
    kept = []
    for _ in range(1000):
        kept.append(holdfast.track(io.StringIO()))
        kept[-1].close()

    assert len(REGISTRY) < 200


def test_how_to_ask_whether_it_is_closed_can_be_told():
    """For things that don't say."""
    over = []
    client = holdfast.track(Client(), is_closed=lambda: bool(over))
    assert len(_mine()) == 1
    over.append(1)
    assert _mine() == []
    del client


def test_a_thing_that_cannot_be_closed_is_refused():
    """Nobody could do anything with it."""
    with pytest.raises(TypeError, match="neither close nor aclose"):
        holdfast.track(object())


def test_a_thing_that_cannot_be_referenced_weakly_needs_a_scope():
    """Else tracking would keep it open."""
    connection = sqlite3.connect(":memory:")
    with pytest.raises(TypeError, match=r"inside a `holdfast\.scope`"):
        holdfast.track(connection)
    with holdfast.scope("session"):
        holdfast.track(connection)
        assert len(_mine()) == 1
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("select 1")


def test_its_descriptors_are_counted_while_it_is_open():
    """In the budget of the process, and given back when it is closed or collected."""
    before = DESCRIPTORS.drawn
    thing = holdfast.track(open("/dev/null"), descriptors=2)  # noqa: SIM115 - closed below
    assert DESCRIPTORS.drawn == before + 2
    assert _mine()[0].descriptors == 2
    thing.close()
    assert _mine() == []
    assert DESCRIPTORS.drawn == before

    other = holdfast.track(Client(), descriptors=1)
    assert DESCRIPTORS.drawn == before + 1
    del other
    assert DESCRIPTORS.drawn == before


def test_the_report_reads_by_owner():
    """Who has most comes first."""
    one = holdfast.track(Client(), name="alone")
    with holdfast.scope("session-17"):
        two = [holdfast.track(Client(), name=f"n{n}") for n in range(2)]
        text = report()
        assert len(opened("session-17")) == 2
    lines = text.splitlines()

    assert lines[0] == "3 open"
    assert lines[1] == "session-17: 2"
    assert lines[2].startswith("  ")
    assert "'n0'" in lines[2]
    assert __file__ in lines[2]
    assert lines[4] == "process: 1"
    assert all(client.closings == 1 for client in two)
    untrack(one)


def test_a_younger_thing_in_the_same_place_of_the_memory_keeps_its_record():
    """A record that is late to go takes only itself out."""
    registry = Registry()
    first, second = Client(), Client()
    late = registry.add(first, site=caller())
    del registry._records[id(first)]
    young = registry.add(second, site=caller())
    registry._records[id(first)] = young  # as if it had been made where the first one was

    assert not registry.forget(late)
    assert registry._records[id(first)] is young


def test_threads_track_at_once(tiny_switches):
    """No record is lost or left."""
    before = len(REGISTRY)

    def work():
        for _ in range(300):
            thing = holdfast.track(Client())
            assert REGISTRY.find(thing) is not None
            del thing

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(REGISTRY) <= before


# ---------------------------------------------------------------- the line


def test_the_line_is_of_the_application_and_not_of_a_library(tmp_path):
    """Even if a library of the standard one, or an installed package, lies between."""
    import functools

    found = functools.reduce(lambda site, _: site or caller(), range(2), None)

    assert __file__ in str(found)


async def test_what_stands_below_a_loop_has_not_called_anybody():
    """The line of a task is its own, and not that of ``asyncio.run``."""

    async def inside():
        return caller()

    site = await asyncio.create_task(inside())

    assert [frame.rpartition(" in ")[2] for frame in site.stack] == [
        "test_what_stands_below_a_loop_has_not_called_anybody.<locals>.inside"
    ]


def test_where_only_libraries_have_called_it_is_theirs():
    """An application may be installed as a package itself."""
    sites = []
    source = "def find():\n    sites.append(caller())\n"
    namespace = {"caller": caller, "sites": sites}
    exec(compile(source, "/x/site-packages/app/main.py", "exec"), namespace)  # noqa: S102 - looks installed
    thread = threading.Thread(target=namespace["find"])
    thread.start()
    thread.join()

    assert str(sites[0]) == "/x/site-packages/app/main.py:2 in find"
    assert str(Site(())) == "an unknown line"
