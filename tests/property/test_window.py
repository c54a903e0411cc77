"""The window of a stream against a model: bounded, each outcome once and in order, error in place."""

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.pools._window import Window


class _ItemError(Exception):
    """An item of the stream failed."""


class WindowMachine(RuleBasedStateMachine):
    """Workers that pull and finish in any order, and a consumer that takes when it likes."""

    @initialize(size=st.integers(1, 6), ordered=st.booleans())
    def make(self, size, ordered):
        self.fed = 0
        self.window = Window(
            size, ordered=ordered, outcomes=False, feed=self.feed, cut_off=lambda: None
        )
        self.size, self.ordered = size, ordered
        self.working = set()  # pulled, and not finished
        self.done = {}  # index -> outcome, in the order in which they were put
        self.errors = []  # (index, error) in the order in which they came
        self.taken = []
        self.waits = self.woken = 0
        self.source_is_over = False

    def feed(self):
        self.fed += 1

    def wake(self):
        self.woken += 1

    # ------------------------------------------------------------ the model

    @property
    def inside(self):
        """Pulled, and neither taken nor (behind an error) never to be taken."""
        return self.window.pulled - len(self.taken)

    def deliverable(self):
        """What the consumer may get, taken or not, in its order."""
        if not self.ordered:
            return list(self.done)
        indexes, index = [], 0
        while index in self.done:
            indexes.append(index)
            index += 1
        return indexes

    def first_error(self):
        """The error that ends the stream: the earliest item's, or unordered the first to come."""
        if not self.errors:
            return None
        return min(self.errors, key=lambda pair: pair[0]) if self.ordered else self.errors[0]

    def over(self):
        if len(self.taken) < len(self.deliverable()):
            return False
        error = self.first_error()
        if error is not None and (not self.ordered or error[0] <= len(self.taken)):
            return True
        return self.source_is_over and not self.working

    # ------------------------------------------------------------ the workers

    @precondition(lambda self: not self.window.full() and not self.source_is_over)
    @rule()
    def pull_until_full(self):
        while not self.window.full():
            self.working.add(self.window.pulled)
            self.window.pulled += 1

    @precondition(lambda self: not self.window.full() and not self.source_is_over)
    @rule()
    def pull(self):
        self.working.add(self.window.pulled)
        self.window.pulled += 1

    @precondition(lambda self: self.working)
    @rule(data=st.data(), count=st.integers(1, 4))
    def finish(self, data, count):
        for _ in range(min(count, len(self.working))):
            index = data.draw(st.sampled_from(sorted(self.working)))
            self.working.remove(index)
            if self.ordered or not self.errors:
                self.done[index] = f"outcome {index}"
            self.window.put(index, f"outcome {index}")

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def fail(self, data):
        index = data.draw(st.sampled_from(sorted(self.working)))
        error = _ItemError(index)
        self.working.remove(index)
        before = self.first_error()
        self.errors.append((index, error))

        assert self.window.fail(index, error) is (self.first_error() != before)

    @precondition(lambda self: not self.working and not self.source_is_over)
    @rule()
    def end(self):
        self.source_is_over = True
        self.window.end()

    # ------------------------------------------------------------ the consumer

    @precondition(lambda self: self.window.ready)
    @rule(count=st.integers(1, 4))
    def take(self, count):
        for _ in range(min(count, len(self.window.ready))):
            expected = self.deliverable()[len(self.taken)]
            self.taken.append(expected)

            assert self.window.ready.popleft() == self.done[expected]

    @rule()
    def wait(self):
        """Set the waiter first and look second, as consumers do."""
        if self.window.waiter is not None:
            return
        self.window.waiter = self.wake
        if self.window.ready or self.window.over():
            self.window.waiter = None
        else:
            self.waits += 1

    # ------------------------------------------------------------ always

    @invariant()
    def never_more_than_its_size_are_inside(self):
        assert self.inside <= self.size
        assert self.window.full() is (self.inside >= self.size)

    @invariant()
    def what_is_ready_is_what_comes_next(self):
        upcoming = self.deliverable()[len(self.taken) :]

        assert list(self.window.ready) == [self.done[index] for index in upcoming]

    @invariant()
    def it_is_over_when_nothing_more_will_come(self):
        assert self.window.over() is self.over()
        if self.over():
            error = self.first_error()
            at_its_place = error is not None and (not self.ordered or error[0] <= len(self.taken))
            assert self.window.last_word() is (error[1] if at_its_place else None)

    @invariant()
    def a_consumer_that_waits_is_woken_when_there_is_something(self):
        asleep = self.window.waiter is not None

        assert asleep is (self.waits > self.woken)
        assert not (asleep and (self.window.ready or self.window.over()))

    @invariant()
    def workers_are_wanted_when_the_consumer_has_taken_everything(self):
        if not self.window.ready:
            assert self.window.hungry()
        if self.inside >= self.size and len(self.window.ready) == self.size:
            assert not self.window.hungry()

    @invariant()
    def the_figures_agree(self):
        if not self.errors:
            assert self.window.completed == len(self.done)
            assert self.window.next - len(self.window.ready) == len(self.taken)


@pytest.mark.timeout(120)
def test_the_window_behaves_as_the_model_says():
    """Ordered and unordered, with and without errors, in any order of events."""
    run_state_machine_as_test(
        WindowMachine,
        settings=settings(max_examples=250, stateful_step_count=50, report_multiple_bugs=False),
    )


# ---------------------------------------------------------------- by example


def _window(size=10, *, ordered=True, outcomes=False):
    return Window(size, ordered=ordered, outcomes=outcomes, feed=lambda: None, cut_off=lambda: None)


def _pull(window, count):
    window.pulled += count


def test_ordered_outcomes_wait_for_those_before_them():
    """The last one first: nothing is ready until the first is there, then everything."""
    window = _window()
    _pull(window, 3)

    window.put(2, "c")
    window.put(1, "b")
    before = list(window.ready)
    window.put(0, "a")

    assert before == []
    assert list(window.ready) == ["a", "b", "c"]


def test_unordered_outcomes_are_ready_as_they_come():
    """No outcome waits for another one."""
    window = _window(ordered=False)
    _pull(window, 3)

    window.put(2, "c")
    window.put(0, "a")

    assert list(window.ready) == ["c", "a"]


def test_outcomes_that_are_held_count_against_the_size():
    """A slow first item does not let the window grow behind it."""
    window = _window(3)
    _pull(window, 3)

    window.put(1, "b")
    window.put(2, "c")

    assert window.full()
    assert window.ready == type(window.ready)()


def test_ordered_values_before_an_error_are_taken_first():
    """The error of item 1 raises behind item 0, whichever came first."""
    window = _window()
    _pull(window, 3)
    error = _ItemError()

    assert window.fail(1, error)
    early = window.over()
    window.put(2, "c")
    window.put(0, "a")
    with_value = window.over()
    value = window.ready.popleft()

    assert (early, with_value, value) == (False, False, "a")
    assert window.over()
    assert window.last_word() is error


def test_the_earliest_error_wins_in_order():
    """A later item that failed first is not the one that is raised."""
    window = _window()
    _pull(window, 3)
    later, earlier = _ItemError("later"), _ItemError("earlier")

    assert window.fail(2, later)
    assert window.fail(0, earlier)
    assert not window.fail(1, _ItemError("between"))

    assert window.over()
    assert window.last_word() is earlier


def test_the_first_error_to_come_wins_without_an_order():
    """What was put before it is delivered, what comes after it is not."""
    window = _window(ordered=False)
    _pull(window, 4)
    error = _ItemError()
    window.put(3, "d")

    assert window.fail(2, error)
    assert not window.fail(0, _ItemError())
    window.put(1, "b")

    assert list(window.ready) == ["d"]
    window.ready.popleft()
    assert window.over()
    assert window.last_word() is error


def test_an_error_of_the_input_comes_behind_everything():
    """It is what is left to say when all outcomes have been taken."""
    window = _window()
    _pull(window, 1)
    window.final_error = OSError("source")
    window.put(0, "a")
    window.end()

    assert not window.over()
    window.ready.popleft()
    assert window.over()
    assert window.last_word() is window.final_error


def test_an_items_error_comes_before_that_of_the_input():
    """The stream ends once, with what came first in order."""
    window = _window()
    _pull(window, 1)
    error = _ItemError()
    window.final_error = OSError("source")
    window.fail(0, error)
    window.end()

    assert window.last_word() is error


@pytest.mark.parametrize(
    "event",
    [
        lambda window: window.put(0, "a"),
        lambda window: window.fail(0, _ItemError()),
        lambda window: window.end(),
    ],
    ids=["outcome", "error", "end"],
)
def test_a_consumer_that_waits_is_woken_once(event):
    """By an outcome, by an error at its place and by the end; and not again."""
    woken = []
    window = _window()
    _pull(window, 1)
    window.waiter = lambda: woken.append(True)

    event(window)
    window.end()

    assert woken == [True]


def test_a_window_of_records_counts_failures_apart():
    """With outcomes, a failed item is handed over like a value and counted as failed."""
    window = _window(outcomes=True)
    _pull(window, 3)

    window.put(0, "ok")
    window.failed += 1
    window.put(1, "failed")
    window.put(2, "ok")

    assert (window.completed, window.failed) == (2, 1)


@pytest.mark.parametrize(
    ("inside", "ready", "hungry"),
    [(8, 8, False), (8, 7, False), (7, 7, False), (6, 6, True), (8, 0, True), (1, 1, True)],
)
def test_workers_are_called_back_when_a_quarter_is_free(inside, ready, hungry):
    """Not for each place: a worker that is called finds something to do."""
    window = _window(8)
    _pull(window, inside)
    for index in range(ready):
        window.put(index, index)

    assert window.hungry() is hungry
