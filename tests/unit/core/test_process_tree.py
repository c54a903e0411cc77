"""Which processes belong to a tree, found in readings that are made up."""

import os

import pytest

from holdfast._core.process_tree import mark as marks, table as tables, tree as trees
from holdfast._core.process_tree.keeper import KEEPER
from holdfast._core.process_tree.register import ABOUT, PLACES, Register
from holdfast._core.process_tree.table import Proc, Table, parse_stat
from holdfast._core.process_tree.tree import Tree

ROOT = Proc(pid=100, started=50, parent=7, group=100, session=100, ended=False)


def proc(pid, *, parent=1, session=1, started=60, ended=False):
    return Proc(pid, started, parent, session, session, ended)


@pytest.fixture
def environments(monkeypatch):
    """What marks which process bears; those that are asked for are noted."""
    bears, asked = {}, []

    def marks_of(pid):
        asked.append(pid)
        return bears.get(pid, [])

    monkeypatch.setattr(tables, "marks_of", marks_of)
    bears["asked"] = asked
    return bears


@pytest.fixture
def tree(monkeypatch, environments):
    """A tree whose root is process 100, in session 100, with a mark."""
    monkeypatch.setattr(trees, "HAS_TABLE", True)
    monkeypatch.setattr(trees, "read_process", lambda pid: ROOT if pid == 100 else None)
    return Tree(100, "owner.1")


def numbers(found):
    return sorted(one.pid for one in found)


def stat(pid, name, state, threads=1):
    return (
        f"{pid} ({name}) {state} 4 5 6 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 777 1 2"
    ).encode()


def test_a_name_may_hold_brackets_and_spaces():
    """The kernel writes it as it is; the last bracket ends it."""
    found = parse_stat(12, stat(12, "a) R (b 1", "S"))

    assert found == Proc(pid=12, started=777, parent=4, group=5, session=6, ended=False)


def test_a_zombie_has_ended():
    """It waits for its parent, and can do nothing any more."""
    assert parse_stat(12, stat(12, "x", "Z")).ended


def test_a_zombie_with_threads_has_not_ended():
    """Only its first thread has; the others still run, and may fork."""
    assert not parse_stat(12, stat(12, "x", "Z", threads=3)).ended


def test_children_and_their_children_belong_to_the_tree(tree):
    """By their parents, whatever their session."""
    table = Table([ROOT, proc(101, parent=100, session=101), proc(102, parent=101, session=102)])

    assert numbers(tree.find(table)) == [100, 101, 102]


def test_an_orphan_in_the_session_belongs_to_the_tree(tree):
    """Its parent has gone; its session says where it came from."""
    table = Table([ROOT, proc(101, parent=1, session=100)])

    assert numbers(tree.find(table)) == [100, 101]


def test_a_daemon_is_found_by_its_mark_and_brings_its_session(tree, environments):
    """Without parent and in a session of its own; what is in that session belongs to the tree too."""
    environments[200] = [b"owner.1"]
    table = Table([ROOT, proc(200, session=200), proc(201, session=200)])

    assert numbers(tree.find(table)) == [100, 200, 201]


def test_the_marks_of_an_inner_tree_belong_to_the_outer_one(tree, environments):
    """A mark is a path."""
    environments[200] = [b"owner.1", b"other.5"]

    assert numbers(tree.find(Table([ROOT, proc(200)]))) == [100, 200]


def test_a_longer_number_is_another_mark(tree, environments):
    """``owner.11`` is not below ``owner.1``."""
    environments[200] = [b"owner.11"]

    assert numbers(tree.find(Table([ROOT, proc(200)]))) == [100]


def test_only_young_orphans_are_asked_for_their_marks(tree, environments):
    """What is older than the root, or has a parent of its own age, is not read."""
    table = Table(
        [
            ROOT,
            proc(1, started=0),
            proc(20, started=10),
            proc(200, parent=1),
            proc(300, parent=200),
            proc(301, parent=1, ended=True),
        ]
    )

    tree.find(table)

    assert environments["asked"] == [100, 200]


def test_who_was_seen_stays_in_the_tree(tree):
    """Even when it has lost parent and session since."""
    tree.find(Table([ROOT, proc(101, parent=100, session=100)]))

    assert numbers(tree.find(Table([proc(101, parent=1, session=101)]))) == [101]


def test_a_number_that_is_given_again_is_somebody_else(tree):
    """The start time tells them apart, and the session of the first one is forgotten."""
    tree.find(Table([ROOT, proc(101, parent=100, session=101)]))
    later = Table([proc(101, started=90, session=101), proc(102, session=101, started=91)])

    assert tree.find(later) == []


def test_zombies_are_not_told_to_end_but_their_children_are(tree):
    """A parent that has ended and is not reaped still says whose child it was."""
    table = Table([ROOT, proc(101, parent=100, ended=True), proc(102, parent=101)])

    assert numbers(tree.find(table)) == [100, 102]


def test_this_process_never_belongs_to_a_tree(tree, environments):
    """Whatever it inherited."""
    environments[os.getpid()] = [b"owner.1"]

    assert numbers(tree.find(Table([ROOT, proc(os.getpid())]))) == [100]


def test_orphans_that_this_process_was_given_are_told(tree):
    """They are zombies until it reaps them; the root is left to whoever started it."""
    me = os.getpid()
    zombie = proc(101, parent=me, session=100, ended=True)
    tree.find(Table([ROOT._replace(parent=me, ended=True), zombie]))

    assert tree.adopted() == [zombie]


def test_a_marked_process_marks_what_it_starts_below_its_own_mark(monkeypatch):
    """So that an outer tree holds the inner ones."""
    monkeypatch.setenv(marks.MARK, "a.1/b.2")

    assert marks.mark_environment({"X": "y"}, "c.3") == {"X": "y", marks.MARK: "a.1/b.2/c.3"}


def test_marks_of_this_process_have_its_owner():
    """And each is another one."""
    one, other = marks.new_mark(), marks.new_mark()

    assert one != other
    assert one.rpartition(".")[0] == other.rpartition(".")[0] == marks.owner_mark()


def test_all_marks_of_an_owner_are_found(environments):
    """The keeper asks for them; it knows only the owner."""
    environments[200] = [b"me.1"]
    environments[201] = [b"me.1", b"me.2"]
    environments[202] = [b"you.1"]

    assert Table([proc(200), proc(201, parent=200), proc(202)]).owned(b"me") == {b"me.1", b"me.2"}


def test_what_one_side_writes_the_other_reads():
    """It is one memory; a place that was given back says nothing, and is given again."""
    mine = Register()
    its = Register(os.dup(mine.fd))
    first, second = mine.take(), mine.take()
    mine.put(first, 100, 777)
    running = list(its)
    mine.give_back(first)
    again = mine.take()

    assert running == [(100, 777), (ABOUT, 0)]
    assert list(its) == [(ABOUT, 0), (ABOUT, 0)]
    assert again == first != second
    its.close()
    mine.close()


def test_when_all_places_are_taken_the_rest_has_none():
    """It is still found by its mark."""
    register = Register()
    places = [register.take() for _ in range(PLACES)]

    assert register.take() == -1
    register.put(-1, 100, 777)
    register.give_back(-1)
    assert len(set(places)) == len(list(register)) == PLACES
    register.close()


def test_there_is_no_keeper_before_there_is_something_to_keep():
    """It costs a process."""
    assert KEEPER.pid == 0
    assert KEEPER.release()
