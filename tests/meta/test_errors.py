"""The error tree: what survives pickling, and who is caught by whom."""

import copy
import inspect
import pickle

import pytest

from holdfast import errors
from holdfast.pools import Histogram, PoolStats

STATS = PoolStats(
    name="p",
    limit=1,
    max_queue=2,
    max_queue_bytes=100,
    in_flight=3,
    queued=4,
    queued_bytes=40,
    blocked=5,
    abandoned=6,
    threads=7,
    refused_threads=8,
    submitted=9,
    completed=10,
    failed=11,
    withdrawn=12,
    timeouts=13,
    late=14,
    rejected={"full": 15},
    peak_in_flight=16,
    peak_queued=17,
    starting=2,
    wait=Histogram.of([0.1]),
    run=Histogram.of([0.2, 0.3]),
    seconds=18.0,
)

# A value for each attribute that an error can carry, other than its default.
SAMPLES = {
    "retry_after": 1.5,
    "stats": STATS,
    "cycle": ("pool 'a' waits for 'b'", "pool 'b' waits for 'a'"),
    "stopped": True,
    "result": ("whatever", "there", "was"),
    "pid": 4711,
    "exitcode": -9,
    "out_of_memory": True,
    "held": ("descriptor 5, opened at x.py:3",),
}

CLASSES = [getattr(errors, name) for name in errors.__all__]
REJECTED = [kind for kind in CLASSES if issubclass(kind, errors.Rejected)]


def _options(kind):
    parameters = inspect.signature(kind.__init__).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


def _make(kind, *, full):
    options = {name: SAMPLES[name] for name in _options(kind)} if full else {}
    return kind("what happened, 3 of 4, and what to do", **options)


def _copies(error):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - what we have just pickled
    yield copy.copy(error)
    yield copy.deepcopy(error)


def test_every_class_of_the_module_is_public():
    """An error that can be raised can be named."""
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }

    assert defined == set(errors.__all__)


@pytest.mark.parametrize("full", [False, True], ids=["plain", "full"])
@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling(kind, full):
    """Its class, its message and every attribute come back, by every protocol and by copying."""
    error = _make(kind, full=full)

    for again in _copies(error):
        assert type(again) is kind
        assert str(again) == str(error) == "what happened, 3 of 4, and what to do"
        assert again.args == error.args
        assert vars(again) == vars(error)
        for name in _options(kind):
            assert getattr(again, name) == getattr(error, name)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_notes_survive_pickling(kind):
    """What a caller adds on the way is not lost between processes."""
    error = _make(kind, full=True)
    error.add_note("in item 17")

    for again in _copies(error):
        assert again.__notes__ == ["in item 17"]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_can_be_made_without_a_message(kind):
    """For tests of users' handlers."""
    assert str(kind()) == ""


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_options_of_errors_are_keyword_only_and_have_defaults(kind):
    """The message comes first, everything else by name."""
    first, *others = list(inspect.signature(kind.__init__).parameters.values())[1:]

    assert first.name == "message"
    assert all(one.kind is one.KEYWORD_ONLY and one.default is not one.empty for one in others)


def test_the_first_branch_says_whether_the_work_started():
    """Every error is on one side: never started, started, or still open."""
    branches = (errors.Rejected, errors.Failed, errors.Leaked)

    for kind in CLASSES:
        if kind is not errors.HoldfastError:
            assert issubclass(kind, errors.HoldfastError)
            assert sum(issubclass(kind, branch) for branch in branches) == 1


@pytest.mark.parametrize("kind", REJECTED, ids=lambda kind: kind.__name__)
def test_a_refusal_is_not_a_timeout(kind):
    """A handler for slow work does not swallow a refusal; neither is it the system's error."""
    assert not issubclass(kind, TimeoutError)
    assert not issubclass(kind, OSError)


def test_a_call_timeout_is_a_timeout_that_may_have_had_effects():
    """Whoever catches TimeoutError gets it."""
    assert issubclass(errors.CallTimeout, TimeoutError)
    assert issubclass(errors.CallTimeout, errors.Failed)
    assert errors.CallTimeout("late").stopped is False


def test_each_kind_of_refusal_has_a_word_of_its_own():
    """For logs and metrics: lower case, no space, no two alike."""
    reasons = [kind.reason for kind in REJECTED]

    assert len(set(reasons)) == len(reasons)
    assert all(reason.isidentifier() and reason.islower() for reason in reasons)
