"""The pytest plugin: a test that leaves something behind fails, with the line that made it.

States of a test: *unseen* until its setup begins; *watched* from then on, with what was held at that
moment as its base; *judged* after its teardown. What a fixture of a wider scope makes in between is
added to the base: it is not the test's.
"""

import gc
import threading
from collections.abc import Generator, Iterable, Mapping
from typing import Any, Final, cast

import pytest

from holdfast._core import clock
from holdfast.testing._allowed import Allowed, from_lines, from_mapping
from holdfast.testing._held import Held, take
from holdfast.testing._left import Left, left_behind, report
from holdfast.testing._lines import Lines

__all__ = ("LeakGuard",)

_POLL_S: Final = 0.002
_MARK: Final = "holdfast"


class LeakGuard:
    """What ``--holdfast`` and ``@pytest.mark.holdfast`` register with pytest.

    Args:
        every: Whether all tests are checked; False checks those that are marked.
        allow: Lines of ``holdfast_allow``.
        patience: Seconds that what is about to end gets, as text.

    Raises:
        pytest.UsageError: ``allow`` or ``patience`` has another form.
    """

    def __init__(self, *, every: bool, allow: Iterable[str] = (), patience: str = "1") -> None:
        self._every = every
        try:
            self._allowed = from_lines(allow)
            self._patience_s = max(float(patience), 0.0)
        except ValueError as error:
            msg = f"holdfast_allow or holdfast_patience: {error}"
            raise pytest.UsageError(msg) from None
        self._lines = Lines()
        self._before: Held | None = None
        self._failed = False
        self._lines.install()

    def stop(self) -> None:
        """Put back what notes the lines."""
        self._lines.remove()

    # ------------------------------------------------------------ hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Look at what is held before anything of the test is made."""
        self._before, self._failed = None, False
        if self._wanted(item):
            _allowed_by(item)  # a wrong marker is told before the test runs
            self._lines.forget()
            self._before = take()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        """Count what a fixture of a wider scope makes as held before."""
        if self._before is None or fixturedef.scope == "function":
            return (yield)
        earlier, tasks, children = take(), len(self._lines.tasks), set(self._lines.children)
        try:
            return (yield)
        finally:
            self._add(earlier, take())
            del self._lines.tasks[tasks:]
            for pid in self._lines.children.keys() - children:
                del self._lines.children[pid]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Remember whether the test failed: its traceback keeps alive what it had open."""
        made = yield
        self._failed = self._failed or not made.passed
        return made

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Look again when all that belongs to the test has been torn down."""
        result = yield
        before, self._before = self._before, None
        if before is not None and not self._failed:
            told = report(self._left(before), (*self._allowed, *_allowed_by(item)))
            if told:
                pytest.fail(told, pytrace=False)
        return result

    # ------------------------------------------------------------ looking

    def _wanted(self, item: pytest.Item) -> bool:
        mark = item.get_closest_marker(_MARK)
        if mark is None:
            return self._every
        return not mark.kwargs.get("skip")

    def _add(self, earlier: Held, later: Held) -> None:
        before = self._before
        if before is None:
            return
        before.threads |= later.threads - earlier.threads
        before.fds |= {fd: what for fd, what in later.fds.items() if earlier.fds.get(fd) != what}

    def _left(self, before: Held) -> list[Left]:
        """What is left when what is about to end has had its time."""
        left = self._look(before)
        if not left:
            return left
        gc.collect()
        system = clock.SystemClock()
        give_up = system.now() + self._patience_s
        while (left := self._look(before)) and system.now() < give_up:
            if not any(each.kind == "child" for each in left) and threading.active_count() == 1:
                break  # nobody is there who would close it
            system.sleep(_POLL_S)
        return left

    def _look(self, before: Held) -> list[Left]:
        return left_behind(before, take(), self._lines)


def _allowed_by(item: pytest.Item) -> tuple[Allowed, ...]:
    found: tuple[Allowed, ...] = ()
    for mark in item.iter_markers(_MARK):
        unknown = set(mark.kwargs) - {"allow", "skip"}
        allow: Any = mark.kwargs.get("allow", {})
        if mark.args or unknown or not isinstance(allow, Mapping):
            msg = "holdfast takes allow={pattern: reason} and skip=reason, and nothing else"
            raise pytest.UsageError(msg)
        try:
            found += from_mapping(cast("Mapping[str, str]", allow))
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    return found
