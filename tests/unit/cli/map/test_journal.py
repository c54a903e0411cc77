"""``holdfast map --idempotent FILE``: what had begun, and what it returned."""

import asyncio
import contextlib
import json
import sqlite3
import threading

import click
import pytest

from holdfast.cli.map.calls import NOT_STARTED
from holdfast.cli.map.item import Item
from holdfast.cli.map.journal import open_journal
from holdfast.cli.map.options import MapOptions
from holdfast.flow.idempotency import SQLiteStore

SOURCE = """
import asyncio, pathlib, signal, time
from holdfast.errors import WorkerLost

log = pathlib.Path(__file__).with_suffix(".log")

def _note(item):
    with log.open("a") as file:
        file.write(f"{item}\\n")

def double(item):
    _note(item)
    return item * 2
async def double_later(item):
    _note(item)
    await asyncio.sleep(0)
    return item * 2
def odd_fails(item):
    _note(item)
    if item % 2: raise ValueError(f"{item} is odd")
    return item
async def odd_fails_later(item):
    return odd_fails(item)
def not_json(item):
    _note(item)
    return {item}
def loses_once(item):
    _note(item)
    if log.read_text().count(f"{item}\\n") == 1: raise WorkerLost("gone", pid=1, exitcode=-9)
    return item
async def hangs(item):
    _note(item)
    await asyncio.sleep(0 if item else 3600)
    return item
async def hang_and_interrupt(item):
    _note(item)
    if item == 1: signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(3600 if item == 1 else 0)
    return item
"""

BOTH = pytest.mark.parametrize("kind", ["", "_later"])


class Job:
    """Runs over one input with one FILE."""

    def __init__(self, tmp_path, agent, run):
        self._target = agent(SOURCE)
        self._run = run
        self.log = tmp_path / "mapped_agent.log"
        self.file = tmp_path / "calls.db"
        self.output = tmp_path / "out.jsonl"

    def __call__(self, function, items, *options, **named):
        return self._run(
            self._target(function), items, "--idempotent", str(self.file), *options, **named
        )

    @property
    def calls(self):
        """The items that the function was called with."""
        if not self.log.exists():
            return []
        return sorted(int(line) for line in self.log.read_text().splitlines())

    def begun(self, function, line):
        """Let FILE say that an item was begun and left no outcome; returns nothing."""
        key = json.loads(line)["key"]
        with SQLiteStore(self.file) as store:
            store.forget(f"mapped_agent:{function} {json.dumps(key)}")
            store.begin(f"mapped_agent:{function} {json.dumps(key)}")

    def lose_lines(self, count):
        """Take the last lines off OUTPUT, as a crash of the machine might."""
        lines = self.output.read_text().splitlines(keepends=True)
        self.output.write_text("".join(lines[:-count]))
        return lines[-count:]


@pytest.fixture
def job(tmp_path, agent, run):
    """A job."""
    return Job(tmp_path, agent, run)


@BOTH
def test_what_was_done_and_is_not_in_output_is_not_done_again(job, kind):
    """Its value comes from FILE, with no attempts; the summary says how many."""
    job(f"double{kind}", range(10))
    job.lose_lines(4)

    ran = job(f"double{kind}", range(10), "--resume", "--json")

    assert ran.code == 0
    assert job.calls == list(range(10))
    assert sorted(line["value"] for line in ran.lines) == list(range(0, 20, 2))
    assert [line["attempts"] for line in ran.lines] == [1] * 6 + [0] * 4
    assert ran.summary["recorded"] == ran.summary["done"] == 4
    assert ran.summary["attempts"] == 0
    assert "4 done (4 recorded before)" in ran.err


@BOTH
def test_what_had_begun_and_left_no_outcome_is_told(job, kind):
    """By default it fails with what is known, and is not run again."""
    job(f"double{kind}", range(3))
    (lost,) = job.lose_lines(1)
    job.begun(f"double{kind}", lost)

    ran = job(f"double{kind}", range(3), "--resume")

    assert ran.code == 1
    assert job.calls == [0, 1, 2]
    error = ran.lines[-1]["error"]
    assert error["type"] == "Unfinished"
    assert "left no outcome" in error["message"]
    assert "--retry-failed --on-unfinished repeat" in error["message"]
    assert ran.lines[-1]["attempts"] == 1


@BOTH
def test_it_is_run_again_where_that_is_wished(job, kind):
    """At once with --on-unfinished repeat; or after it has failed, with --retry-failed as well."""
    job(f"double{kind}", range(3))
    (lost,) = job.lose_lines(1)
    job.begun(f"double{kind}", lost)
    told = job(f"double{kind}", range(3), "--resume")
    told_again = job(f"double{kind}", range(3), "--resume", "--retry-failed")

    ran = job(f"double{kind}", range(3), "--resume", "--retry-failed", "--on-unfinished", "repeat")

    assert (told.code, told_again.code, ran.code) == (1, 1, 0)
    assert sorted(line["value"] for line in ran.lines) == [0, 2, 4]
    assert len(job.calls) == 4


def test_it_can_be_left_for_later(job):
    """With --on-unfinished skip it gets no line, and the exit code says that something is left."""
    job("double", range(3))
    (lost,) = job.lose_lines(1)
    job.begun("double", lost)

    ran = job("double", range(3), "--resume", "--on-unfinished", "skip", "--json")

    assert ran.code == 1
    assert len(ran.lines) == 2
    assert (ran.summary["unfinished"], ran.summary["failed"]) == (1, 0)
    assert "1 item had begun and was given up" in ran.err


@BOTH
def test_what_failed_is_run_again_when_asked_for(job, kind):
    """The function's own error is an outcome that OUTPUT has; --retry-failed runs it as ever."""
    job(f"odd_fails{kind}", range(4))

    ran = job(f"odd_fails{kind}", range(4), "--resume", "--retry-failed")

    assert ran.code == 1
    assert job.calls == [0, 1, 1, 2, 3, 3]
    assert sorted(line["index"] for line in ran.lines) == [0, 1, 2, 3]


@BOTH
def test_further_attempts_of_one_run_go_on(job, kind):
    """--retries calls again after an error."""
    ran = job(f"odd_fails{kind}", [1], "--retries", "1")

    assert job.calls == [1, 1]
    assert ran.lines[0]["error"]["type"] == "ValueError"
    assert ran.lines[0]["attempts"] == 2


def test_further_attempts_go_on_after_an_uncertain_end(job):
    """An attempt that may have had effects keeps its claim within the run."""
    ran = job("loses_once", [7], "--retries", "1")

    assert ran.code == 0
    assert [line["value"] for line in ran.lines] == [7]


def test_after_a_timeout_it_is_not_run_again_unless_wished(job):
    """The call was cancelled in the midst of its work."""
    first = job("hangs", [0, 1], "--timeout", "1")
    again = job("hangs", [0, 1], "--timeout", "1", "--resume", "--retry-failed")

    errors = {line["index"]: line.get("error", {}).get("type") for line in again.lines}
    assert "failed (CallTimeout)" in first.err
    assert errors == {0: "Unfinished", 1: None}
    assert job.calls == [0, 1]


def test_a_value_that_json_cannot_hold_is_an_error_of_the_function(job):
    """Nothing is recorded, so a retry runs it."""
    job("not_json", [1])
    ran = job("not_json", [1], "--resume", "--retry-failed")

    assert ran.lines[0]["error"]["type"] == "NotJSON"
    assert job.calls == [1, 1]


def test_what_a_signal_cut_short_is_known_to_have_begun(job):
    """What never began is run, what had begun is told."""
    ran = job("hang_and_interrupt", range(3), "--limit", "2", "--grace", "0")
    assert ran.code == 130

    again = job("double", range(3), "--resume")
    assert again.code == 0  # another function has keys of its own
    third = job("hang_and_interrupt", range(3), "--limit", "2", "--resume", output="other.jsonl")

    kinds = {line["index"]: line.get("error", {}).get("type") for line in third.lines}
    assert kinds == {0: None, 1: "Unfinished", 2: None}


def test_another_output_gets_what_is_recorded(job):
    """FILE goes by the function and the item, not by OUTPUT."""
    job("double", range(3))
    ran = job("double", range(3), output="other.jsonl")

    assert sorted(line["value"] for line in ran.lines) == [0, 2, 4]
    assert job.calls == [0, 1, 2]


def test_a_named_key_survives_an_edited_line(job, agent, tmp_path, run):
    """With --key FILE finds an item by its field."""
    target = agent("def ask(item): return item['v']", name="keyed_agent")
    options = ("--idempotent", str(tmp_path / "k.db"), "--key", "id")
    run(target("ask"), ['{"id": 1, "v": "a"}'], *options)
    ran = run(target("ask"), ['{"id": 1, "v": "b"}'], *options, output="other.jsonl")

    assert ran.lines[0]["value"] == "a"


def test_a_file_that_is_none_of_ours_ends_the_run(job, tmp_path):
    """Before anything is begun."""
    job.file.write_text("something else " * 100)
    ran = job("double", range(3))

    assert ran.code == 2
    assert "--idempotent" in ran.err
    assert job.calls == []


@BOTH
def test_a_file_that_cannot_be_written_ends_the_run(job, kind):
    """Nothing is called whose start could not be noted."""
    job(f"double{kind}", [])
    with contextlib.closing(sqlite3.connect(job.file)) as spoiler:
        spoiler.execute("DROP TABLE holdfast_calls")
    ran = job(f"double{kind}", range(3))

    assert ran.code == 1
    assert "can't be written" in ran.err
    assert ran.lines == []
    assert job.calls == []


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--on-unfinished", "repeat"), "needs --idempotent"),
        (("--idempotent", "{output}"), "names INPUT or OUTPUT"),
        (("--idempotent", "{input}"), "names INPUT or OUTPUT"),
    ],
)
def test_what_makes_no_sense_is_bad_usage(run, agent, tmp_path, options, word):
    """One sentence says what."""
    places = {"output": tmp_path / "out.jsonl", "input": tmp_path / "in.jsonl"}
    with pytest.raises(click.UsageError, match=word):
        run(agent(SOURCE)("double"), [1], *(option.format(**places) for option in options))


def test_no_thread_is_left(job):
    """The thread that asks the file ends with the run."""
    job("double_later", range(3))
    assert not [one for one in threading.enumerate() if "store" in one.name]


@pytest.mark.parametrize("is_async", [True, False])
def test_what_was_noted_and_then_held_back_has_not_begun(tmp_path, is_async):
    """The run was stopped between the note and the call."""
    options = MapOptions(
        target="agent:ask", source="in", output="out", idempotent=str(tmp_path / "calls.db")
    )
    item = Item(0, 1, '"a"', "x")

    async def held_back_later(_):
        return NOT_STARTED

    def held_back(_):
        return NOT_STARTED

    with open_journal(options, options.target) as journal:
        if is_async:
            found = asyncio.run(journal.wrap(held_back_later, is_async=True)(item))
        else:
            found = journal.wrap(held_back, is_async=False)(item)
    with SQLiteStore(tmp_path / "calls.db") as store:
        assert store.get('agent:ask "a"') is None
    assert found is NOT_STARTED
