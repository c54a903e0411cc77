"""How a tree is ended, step by step, with processes and signals that are made up."""

import signal

import pytest

from holdfast._core.process_tree import ending as endings, table as tables
from holdfast._core.process_tree.course import Left
from holdfast._core.process_tree.ending import Ending
from holdfast._core.process_tree.table import Proc, Table
from holdfast._core.process_tree.tree import Root

NAMES = {
    signal.SIGTERM: "TERM",
    signal.SIGCONT: "CONT",
    signal.SIGSTOP: "STOP",
    signal.SIGKILL: "KILL",
}


COMPLETE = Table([])
INCOMPLETE = Table([], complete=False)


class World:
    """A tree and the processes in it; what it was told."""

    root = 1

    def __init__(self):
        self.running = []
        self.told = []
        self.denies = set()
        self.deaf = set()
        self.readings = []
        self.fail = None

    def find(self, _):
        if self.fail:
            raise self.fail
        if self.readings:
            self.readings.pop(0)()
        return list(self.running)

    def known_alive(self):
        return list(self.running)

    def reap_adopted(self):
        pass

    def root_state(self):
        return Root.RUNS

    def start(self, pid):
        self.running.append(Proc(pid, 0, 1, 1, 1, ended=False))

    def send_all(self, procs, *signals):
        procs = list(procs)
        for number in signals:
            self.told += [f"{NAMES[number]} {proc.pid}" for proc in procs]
        for proc in procs:
            gone = signal.SIGKILL in signals or (
                signal.SIGTERM in signals and proc.pid not in self.deaf
            )
            if gone and proc.pid not in self.denies and proc in self.running:
                self.running.remove(proc)
        return [proc for proc in procs if proc.pid in self.denies]

    def send_group(self, _, number):
        self.told.append(f"{NAMES[number]} group")


@pytest.fixture
def world(monkeypatch):
    made = World()
    monkeypatch.setattr(tables, "HAS_TABLE", True)
    monkeypatch.setattr(endings, "_reading", lambda: COMPLETE)
    monkeypatch.setattr(endings, "send_all", made.send_all)
    monkeypatch.setattr(endings, "send_group", made.send_group)
    return made


def test_what_hears_is_asked_and_not_killed(world, fake_clock):
    """SIGTERM and SIGCONT, and when nobody is left that is all."""
    world.start(10)
    left = []
    ending = Ending()
    ending.add(world, grace=5.0, done=left.append)

    first = ending.step()
    fake_clock.advance(first)
    second = ending.step()

    assert second is None
    assert world.told == ["TERM 10", "CONT 10"]
    assert left == [()]


def test_what_is_deaf_is_stopped_and_killed_after_the_grace(world, fake_clock):
    """Not before."""
    world.start(10)
    world.deaf.add(10)
    ending = Ending()
    ending.add(world, grace=5.0)

    ending.step()
    fake_clock.advance(4.9)
    ending.step()
    before = list(world.told)
    fake_clock.advance(0.2)
    ending.step()

    assert before == ["TERM 10", "CONT 10"]
    assert world.told[2:] == ["STOP group", "STOP 10", "KILL 10", "KILL group"]
    assert ending.step() is None


def test_what_appears_while_others_are_stopped_is_stopped_too_before_any_is_killed(
    world, fake_clock
):
    """A parent is not killed while its child can still fork and get lost."""
    world.start(10)
    world.readings = [lambda: None, lambda: world.start(11), lambda: world.start(12)]
    ending = Ending()
    ending.add(world, grace=0.0)

    ending.step()

    stops = [word for word in world.told if word.startswith("STOP")]
    assert stops == ["STOP group", "STOP 10", "STOP 11", "STOP 12"]
    assert world.told[4:] == ["KILL 10", "KILL 11", "KILL 12", "KILL group"]


def test_one_empty_reading_is_no_proof(world, fake_clock):
    """A child that was forked while it was taken shows in the second one."""
    world.start(10)
    world.readings = [lambda: None, lambda: None, lambda: world.start(11)]
    ending = Ending()
    ending.add(world, grace=5.0)

    ending.step()
    wait = ending.step()

    assert wait is not None
    assert "TERM 11" in world.told


def test_readings_that_are_not_complete_are_no_proof_either(world, fake_clock, monkeypatch):
    """Somebody ended before he could be looked at: perhaps one of ours, who has left a child."""
    world.start(10)
    world.readings = [lambda: None] * 6 + [lambda: world.start(11)]
    ending = Ending()
    ending.add(world, grace=5.0)
    ending.step()
    monkeypatch.setattr(endings, "_reading", lambda: INCOMPLETE)

    wait = ending.step()

    assert wait is not None
    assert "TERM 11" in world.told


def test_on_a_machine_where_no_reading_is_complete_the_end_comes_all_the_same(
    world, fake_clock, monkeypatch
):
    """After so many of them it is as sure as it can be."""
    monkeypatch.setattr(endings, "_reading", lambda: INCOMPLETE)
    ending = Ending()
    ending.add(world, grace=5.0)

    assert ending.step() is None


def test_what_belongs_to_another_user_is_left_and_told(world, fake_clock):
    """Nobody waits for what can't be ended."""
    world.start(10)
    world.denies.add(10)
    left = []
    ending = Ending()
    ending.add(world, grace=1.0, done=left.append)

    ending.step()
    fake_clock.advance(1.1)

    assert ending.step() is None
    assert left == [(Left(10, denied=True),)]


def test_what_hangs_in_the_kernel_is_left_after_a_while(world, fake_clock, monkeypatch):
    """SIGKILL was sent, and it is still there."""
    world.start(10)
    monkeypatch.setattr(endings, "send_all", lambda _procs, *_: [])
    left = []
    ending = Ending()
    ending.add(world, grace=0.0, done=left.append)

    assert ending.step() is not None
    fake_clock.advance(5.1)

    assert ending.step() is None
    assert left == [(Left(10, denied=False),)]


def test_without_a_descriptor_for_a_look_the_group_is_told(world, fake_clock):
    """And as soon as there is one, it goes on as usual."""
    world.start(10)
    world.fail = OSError(24, "Too many open files")
    ending = Ending()
    ending.add(world, grace=0.0)

    ending.step()
    blind = list(world.told)
    world.fail = None
    ending.step()

    assert blind[-1] == "KILL group"
    assert "KILL 10" in world.told


def test_hurrying_ends_the_grace(world, fake_clock):
    """Whoever waited has no more time."""
    world.start(10)
    world.deaf.add(10)
    ending = Ending()
    ending.add(world, grace=60.0)
    ending.step()

    ending.hurry(world)
    ending.step()

    assert "KILL 10" in world.told


def test_many_trees_are_ended_with_the_same_readings(world, fake_clock, monkeypatch):
    """Not one after the other."""
    readings = []
    monkeypatch.setattr(endings, "_reading", lambda: readings.append(1) or COMPLETE)
    worlds = [World() for _ in range(100)]
    ending = Ending()
    for one in worlds:
        one.start(10)
        monkeypatch.setattr(one, "send_all", one.send_all, raising=False)
        ending.add(one, grace=1.0)

    ending.step()
    asked = len(readings)
    fake_clock.advance(1.1)
    ending.step()

    assert asked == 1
    assert len(readings) - asked <= 3
