"""Ends trees of processes: asks, waits, stops, kills, and says what is left.

Purpose: any number of trees end side by side, each within its own grace, with few readings of
``/proc`` between them. Whoever has a thread or a loop drives it by steps; :mod:`waiting` has the two
usual drivers. The states of a tree are those of :mod:`course`.

Guarantees: a step never waits. What has been stopped can't fork, so stopping level by level comes to
an end, and then all are killed; the root's group is stopped and killed in one step by the kernel,
where a fork is either before it or does not happen. Every tree that was added comes to its end, at
the latest some seconds after its grace. The root is still to be reaped by who started it, and nobody
else; orphans that the kernel gave to this process (it is process 1, or a subreaper) are reaped here.

Where there is no ``/proc``, only the root's group is ended, and what left it stays unknown.
"""

import signal
from collections.abc import Callable
from typing import Final

from holdfast._core import clock
from holdfast._core.process_tree import table as processes
from holdfast._core.process_tree.course import Course, Left, State
from holdfast._core.process_tree.signals import Sent, send_all, send_group
from holdfast._core.process_tree.table import Proc, Table
from holdfast._core.process_tree.tree import Root, Tree

__all__ = ("Ending",)

_ROUNDS: Final = 50
"""Most readings in one step while members are being stopped; the next step goes on."""

_PROOF: Final = 2
"""So many complete readings without a member are the proof that there is none."""

_READINGS: Final = 10
"""Most readings for that proof: where processes come and go all the time none may be complete."""

_PATIENCE: Final = 5.0
"""Seconds after SIGKILL until what still runs counts as left."""

_FIRST_WAIT: Final = 0.001
_LONGEST_WAIT: Final = 0.02


def _nothing(_: tuple[Left, ...]) -> None:
    pass


class Ending:
    """Trees that are being ended. For one thread at a time."""

    def __init__(self) -> None:
        self._clock = clock.current()
        self._courses: dict[Tree, Course] = {}
        self._wait = _FIRST_WAIT

    def add(
        self,
        tree: Tree,
        *,
        grace: float,
        done: Callable[[tuple[Left, ...]], None] = _nothing,
    ) -> None:
        """End ``tree``, from the next step on.

        Args:
            tree: Its root must not have been reaped.
            grace: Seconds between SIGTERM and SIGKILL; 0 kills at once.
            done: Called by a step, once, with what is left; it must not raise.
        """
        kill_at = self._clock.now() + grace
        self._wait = _FIRST_WAIT
        self._courses[tree] = Course(
            tree, kill_at=kill_at, give_up_at=kill_at + _PATIENCE, done=done
        )

    def hurry(self, tree: Tree) -> None:
        """End the tree's grace now: the next step kills. Nothing happens if it has come to its end."""
        course = self._courses.get(tree)
        if course is not None:
            now = self._clock.now()
            course.kill_at = min(course.kill_at, now)
            course.give_up_at = course.kill_at + _PATIENCE
            self._wait = _FIRST_WAIT

    def step(self) -> float | None:
        """Do what can be done now.

        Returns:
            Seconds after which to call again, or None when every tree has come to its end.
        """
        begun = self._clock.now()
        courses = list(self._courses.values())
        try:
            if processes.HAS_TABLE:
                self._look_and_kill(courses, begun)
            else:
                for course in courses:
                    _move_group(course, late=begun >= course.kill_at)
        except OSError:
            # No descriptor is left for reading /proc. Until there is, the groups alone can be told.
            for course in courses:
                _move_blindly(course, late=begun >= course.kill_at)
        return self._finish(courses, begun)

    def _finish(self, courses: list[Course], begun: float) -> float | None:
        now = self._clock.now()
        for course in courses:
            if course.open and now >= course.give_up_at:
                _give_up(course)
            if not course.open:
                del self._courses[course.tree]
                course.done(course.left)
        if not self._courses:
            return None
        # At most half of the time is spent on readings.
        wait = max(self._wait, now - begun)
        self._wait = min(self._wait * 2, _LONGEST_WAIT)
        dues = [c.kill_at - now for c in self._courses.values() if c.state is not State.KILLED]
        return max(0.0, min([wait, *dues]))

    def _look_and_kill(self, courses: list[Course], now: float) -> None:
        late = [c for c in courses if now >= c.kill_at]
        fresh = [c for c in late if c.state is not State.KILLED]
        waiting = [c for c in courses if c not in fresh and not _is_alive(c) and c.open]
        for course in _without_members(waiting):
            course.state = State.GONE
        due = fresh + [c for c in waiting if c.open and c in late]
        if due:
            self._wait = _FIRST_WAIT  # it takes the kernel no longer
        _kill(due)


# ---------------------------------------------------------------- asking


def _is_alive(course: Course) -> bool:
    """Whether one of those that were told is still there: then there is no need for a reading."""
    if course.vacant or not course.told:
        return False
    alive = course.tree.known_alive()
    if alive and course.state is State.KILLED and not course.may_signal_any(alive):
        course.give_up()
    return bool(alive)


def _without_members(courses: list[Course]) -> list[Course]:
    """Look at the courses until it is known of each whether it has members; returns those that have none."""
    without: list[Course] = []
    for _ in range(_READINGS):
        empty = _look(courses)
        without += [course for course in empty if course.vacant >= _PROOF]
        courses = [course for course in empty if course.vacant < _PROOF]
        if not courses:
            break
    return without + courses


def _look(courses: list[Course]) -> list[Course]:
    """Ask the members that there are now; returns those that have none."""
    if not courses:
        return []
    table = _reading()
    vacant: list[Course] = []
    for course in courses:
        members = course.tree.find(table)
        course.tree.reap_adopted()
        if not members:
            course.vacant += table.complete
            vacant.append(course)
            continue
        course.vacant = 0
        if course.state is not State.KILLED:
            course.state = State.ASKED
            send_all(course.new(members), signal.SIGTERM, signal.SIGCONT)
    return vacant


# ---------------------------------------------------------------- killing


def _kill(courses: list[Course]) -> None:
    if not courses:
        return
    for course in courses:
        course.state = State.KILLED
        course.told = set()
        _tell_group(course.tree, signal.SIGSTOP)  # one step for all that stayed together
    for course, members in _stop_all(courses).items():
        send_all(members, signal.SIGKILL)
        _tell_group(course.tree, signal.SIGKILL)
        course.vacant = 0
        if members and not course.may_signal_any(members):
            course.give_up()


def _stop_all(courses: list[Course]) -> dict[Course, list[Proc]]:
    """Stop members until a reading shows no further ones."""
    found: dict[Course, list[Proc]] = {}
    growing = courses
    for _ in range(_ROUNDS):
        table = _reading()
        grown: list[Course] = []
        for course in growing:
            found[course] = course.tree.find(table)
            if new := course.new(found[course]):
                course.denied |= {proc.identity for proc in send_all(new, signal.SIGSTOP)}
                grown.append(course)
        growing = grown
        if not growing:
            break
    return found


def _move_blindly(course: Course, *, late: bool) -> None:
    _tell_group(course.tree, signal.SIGKILL if late else signal.SIGTERM)
    if course.state is State.KILLED and course.open:
        course.state = (
            State.ASKED
        )  # the killing may have been broken off: again, with the next step


def _give_up(course: Course) -> None:
    try:
        course.give_up()
    except OSError:  # no descriptor for a look: the root is all that is known
        course.left = (Left(course.tree.root, denied=False),)
        course.state = State.LEFT


def _tell_group(tree: Tree, number: int) -> Sent:
    """Signal the root's group, whose number is nobody else's as long as the root is not reaped."""
    return Sent.GONE if tree.root_state() is Root.REAPED else send_group(tree.root, number)


def _reading() -> Table:
    return processes.table_since(clock.SystemClock.now())


# ---------------------------------------------------------------- without /proc


def _move_group(course: Course, *, late: bool) -> None:
    """The group alone: asked once, then killed; the root tells when it has gone."""
    tree = course.tree
    if late:
        course.state = State.KILLED
        sent = _tell_group(tree, signal.SIGKILL)
    elif course.state is State.NEW:
        course.state = State.ASKED
        sent = _tell_group(tree, signal.SIGTERM)
        _tell_group(tree, signal.SIGCONT)
    else:
        sent = _tell_group(tree, 0)
    # A root that has ended keeps its group's number until it is reaped, so the group answers.
    # Only a group with nobody else in it refuses (macOS) or is gone.
    if tree.root_state() is not Root.RUNS and (late or sent is not Sent.SENT):
        course.state = State.GONE
