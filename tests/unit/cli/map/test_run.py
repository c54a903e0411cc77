"""``holdfast map`` from its arguments to its exit code, in this process."""

import json
import os
import sys
import threading

import pytest

BASICS = """
import asyncio, os, signal, sys, threading, time

def double(item): return item * 2
async def double_later(item):
    await asyncio.sleep(0)
    return item * 2
async def at_once(item): return item
def pick(item): return item["v"]
def odd_fails(item):
    if item % 2: raise ValueError(f"{item} is odd")
    return item
async def odd_fails_later(item): return odd_fails(item)
def not_json(item): return {item}
def same(item): return item
async def backwards(item):
    for _ in range(10 - item): await asyncio.sleep(0)
    return item
async def hang(item): await asyncio.sleep(3600)
def leave(item): sys.exit(item)
def plain_coroutine(item): return double_later(item)
def chatty(item):
    print("noise from the function")
    os.system("echo noise from a child")
    return item
async def interrupt_at_five(item):
    if item == 5: signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0)
    return item
async def terminate_in_first(item):
    if item == 0:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(3600)
    return item
"""


@pytest.fixture
def basics(agent):
    """TARGETs in a file with the functions above."""
    return agent(BASICS)


@pytest.mark.parametrize("function", ["double", "double_later"])
@pytest.mark.parametrize("ordered", [True, False])
def test_every_item_gets_one_line(run, basics, function, ordered):
    """With its index, a key, the value, the attempts and the seconds."""
    ran = run(basics(function), range(50), *(["--ordered"] if ordered else []))

    lines = ran.lines if ordered else sorted(ran.lines, key=lambda line: line["index"])
    assert ran.code == 0
    assert [line["index"] for line in lines] == list(range(50))
    assert [line["value"] for line in lines] == [n * 2 for n in range(50)]
    assert len({line["key"] for line in lines}) == 50
    assert all(line["attempts"] == 1 for line in lines)
    assert all(line["seconds"] >= 0 for line in lines)


def test_ordered_means_input_order_and_otherwise_lines_come_as_they_are_done(run, basics):
    """The first item is the slowest here."""
    ordered = run(basics("backwards"), range(10), "--ordered")
    as_done = run(basics("backwards"), range(10), output="other.jsonl")

    assert [line["index"] for line in ordered.lines] == list(range(10))
    assert as_done.lines[-1]["index"] == 0


@pytest.mark.parametrize("function", ["odd_fails", "odd_fails_later"])
def test_a_failure_is_a_line_and_exit_code_1(run, basics, function):
    """The other items are not touched by it."""
    ran = run(basics(function), range(6), "--ordered", "--json")

    assert ran.code == 1
    assert [line.get("value") for line in ran.lines] == [0, None, 2, None, 4, None]
    assert ran.lines[3]["error"] == {"type": "ValueError", "message": "3 is odd"}
    assert ran.summary["errors_by_type"] == {"ValueError": 3}


@pytest.mark.parametrize(
    ("function", "kind"),
    [("not_json", "NotJSON"), ("plain_coroutine", "NotJSON"), ("leave", "TargetExitError")],
)
def test_what_is_no_value_is_that_item_s_error(run, basics, function, kind):
    """Neither a set nor ``sys.exit`` ends the run."""
    ran = run(basics(function), [1, 2])

    assert ran.code == 1
    assert [line["error"]["type"] for line in ran.lines] == [kind, kind]


def test_the_summary_adds_up(run, basics):
    """Every item seen is counted once."""
    lines = ['{"v": 1}', "", "oops", '{"v": {}}', "{}"]

    ran = run(basics("pick"), lines, "--skip-bad", "--json", "--limit", "3")

    summary = ran.summary
    parts = ("done", "failed", "skipped", "not_started", "unfinished")
    assert summary["total_seen"] == 4 == sum(summary[part] for part in parts)
    assert (summary["done"], summary["failed"]) == (2, 2)
    assert summary["errors_by_type"] == {"BadInput": 1, "KeyError": 1}
    assert (summary["attempts"], summary["limit"], summary["exit_code"]) == (3, 3, 1)
    assert summary["peak_rss_bytes"] > 1_000_000
    assert summary["interrupted"] is None
    assert summary["output"].endswith("out.jsonl")


@pytest.mark.parametrize("function", ["same", "backwards"])
def test_a_bad_line_ends_the_input_and_loses_nothing(run, basics, function):
    """All before it is done and written, and the sentence has the line number."""
    ran = run(basics(function), [1, 2, "", 3, "{", 5])

    assert ran.code == 2
    assert sorted(line["value"] for line in ran.lines) == [1, 2, 3]
    assert "line 5 of" in ran.err
    assert "is not JSON" in ran.err
    assert "--skip-bad" in ran.err


def test_a_bad_line_is_recorded_in_its_place(run, basics):
    """With ``--skip-bad`` it is an error like others, except that nothing was called."""
    ran = run(basics("same"), [1, "{", 3], "--skip-bad", "--ordered")

    bad = ran.lines[1]
    assert ran.code == 1
    assert [line["index"] for line in ran.lines] == [0, 1, 2]
    assert bad["error"]["type"] == "BadInput"
    assert "line 2 of" in bad["error"]["message"]
    assert (bad["attempts"], bad["seconds"]) == (0, 0.0)


def test_raw_lines_are_text(run, basics):
    """Whatever stands in them."""
    ran = run(basics("same"), "plain\r\n{not json\n\u2028 last".encode(), "--raw", "--ordered")

    assert [line["value"] for line in ran.lines] == ["plain", "{not json", "\u2028 last"]


def test_the_key_is_the_field_that_was_named(run, basics):
    """Strings stay strings and numbers numbers."""
    lines = [{"v": 1, "id": "a"}, {"v": 2, "id": 7}]

    ran = run(basics("pick"), map(json.dumps, lines), "--key", "id", "--ordered")

    assert [line["key"] for line in ran.lines] == ["a", 7]


def test_two_items_of_one_key_are_bad_input(run, basics):
    """Both lines are named."""
    ran = run(basics("same"), ['{"id": 1}', '{"id": 2}', '{"id": 1}'], "--key", "id")

    assert ran.code == 2
    assert len(ran.lines) == 2
    assert "line 3 of" in ran.err
    assert "line 1 has already" in ran.err


def test_resume_does_what_is_missing(run, basics):
    """Items that are done are not run again; the lines that are there stay."""
    first = run(basics("double"), range(10))
    kept = b"".join(first.raw_lines[:4]) + first.raw_lines[4][:20]
    first.output.write_bytes(kept)

    second = run(basics("double"), range(10), "--resume", "--json")

    assert second.code == 0
    assert second.raw_lines[:4] == first.raw_lines[:4]
    assert sorted(line["index"] for line in second.lines) == list(range(10))
    assert (second.summary["skipped"], second.summary["done"]) == (4, 6)
    assert "the last line was torn (20 bytes)" in second.err


def test_failed_items_are_left_alone_unless_asked_for(run, agent):
    """And the exit code goes on saying that there are some."""
    fails, works = agent("def go(i): return 1 / i"), agent("def go(i): return i", "mended")
    run(fails("go"), [0, 1, 2])

    left = run(works("go"), [0, 1, 2], "--resume")
    again = run(works("go"), [0, 1, 2], "--resume", "--retry-failed")
    at_last = run(works("go"), [0, 1, 2], "--resume")

    assert left.code == 1
    assert "--retry-failed" in left.err
    assert again.code == 0
    assert at_last.code == 0
    assert sorted(line["index"] for line in at_last.lines) == [0, 1, 2]
    assert all("value" in line for line in at_last.lines)


def test_a_mended_input_line_takes_the_place_of_its_error(run, basics):
    """The line that could not be read is looked at again without being asked for."""
    run(basics("same"), [1, "{", 3], "--skip-bad")

    ran = run(basics("same"), [1, 22, 3], "--resume")

    assert ran.code == 0
    assert sorted(line["value"] for line in ran.lines) == [1, 3, 22]
    assert sorted(line["index"] for line in ran.lines) == [0, 1, 2]


def test_lines_of_output_that_belong_to_nothing_are_mentioned(run, basics):
    """Whoever edits the input between two runs should know what that means."""
    run(basics("same"), [1, 2, 3])

    ran = run(basics("same"), [1, 20, 3], "--resume")

    assert "1 line of OUTPUT belong to no item of INPUT" in ran.err


def test_an_output_in_use_is_refused(run, basics):
    """A second plain run changes nothing."""
    first = run(basics("same"), [1, 2])

    second = run(basics("same"), [1, 2, 3])

    assert second.code == 2
    assert second.raw_lines == first.raw_lines


def test_a_wrong_target_leaves_no_output_behind(run, basics):
    """A typo does not make an empty file that the next run stumbles over."""
    ran = run(basics("nope"), [1])

    assert ran.code == 2
    assert "has no 'nope'" in ran.err
    assert not ran.output.exists()


@pytest.mark.parametrize(("missing", "part"), [("no-such-file", "no file"), (".", "folder")])
def test_an_input_that_is_none_is_named(run, basics, tmp_path, missing, part):
    """A missing file, a folder."""
    ran = run(basics("same"), [], source=tmp_path / missing)

    assert ran.code == 2
    assert part in ran.err
    assert ran.err.count("\n") == 1


def test_an_empty_input_is_done(run, basics):
    """Nothing to do is no failure."""
    ran = run(basics("same"), [])

    assert ran.code == 0
    assert ran.raw_lines == []


def test_a_timeout_is_that_item_s_error(run, basics):
    """Each attempt has its seconds."""
    ran = run(basics("hang"), [1, 2], "--timeout", "0.05")

    assert ran.code == 1
    assert [line["error"]["type"] for line in ran.lines] == ["CallTimeout", "CallTimeout"]


def test_a_timeout_names_the_option_and_not_a_place_in_the_stream(run, agent):
    """After a resume the stream counts other items than the input."""
    mixed = agent("import time\ndef go(item): time.sleep(0.2 * (item == 3)); return item")
    run(mixed("go"), [0, 1])

    ran = run(mixed("go"), [0, 1, 2, 3], "--resume", "--timeout", "0.05", "--limit", "2")

    message = ran.lines[-1]["error"]["message"]
    assert ran.lines[-1]["index"] == 3
    assert message.startswith("ran longer than --timeout 0.05 s; ")
    assert "item" not in message


def test_a_timeout_that_the_function_raises_keeps_its_own_words(run, agent):
    """The function may use holdfast itself."""
    own = agent("from holdfast.errors import CallTimeout\ndef go(i): raise CallTimeout('mine')")

    ran = run(own("go"), [1], "--timeout", "2")

    assert ran.lines[0]["error"] == {"type": "CallTimeout", "message": "mine"}


def test_threads_that_are_stuck_for_good_end_the_run(run, agent):
    """Nothing could begin any more, and nobody would be told."""
    stuck = agent(
        "import threading\nrelease = threading.Event()\ndef go(item): release.wait(); return item\n"
    )

    ran = run(stuck("go"), range(100), "--timeout", "0.05", "--limit", "2", "--grace", "0.1")
    sys.modules["mapped_agent"].release.set()

    assert ran.code == 1
    assert "all 4 threads are stuck" in ran.err
    assert [line["error"]["type"] for line in ran.lines] == ["CallTimeout"] * 4


def test_a_function_that_cancels_the_run_does_not_pass_for_success(run, agent):
    """The task is not the function's own; what is missing is not hidden."""
    cancels = agent(
        "import asyncio\n"
        "async def go(item):\n"
        "    if item == 50: asyncio.current_task().cancel()\n"
        "    await asyncio.sleep(0)\n"
        "    return item\n"
    )

    ran = run(cancels("go"), range(1000), "--limit", "4")

    assert ran.code == 1
    assert "cancelled the task" in ran.err
    assert len(ran.lines) < 1000


def test_an_item_between_two_attempts_is_not_waited_for(run, agent):
    """A stop ends the back-off; the item is run again by the next run."""
    flaky = agent(
        "import signal\n"
        "async def go(item):\n"
        "    if item == 3: signal.raise_signal(signal.SIGINT)\n"
        "    raise ConnectionError('not yet')\n"
    )

    ran = run(flaky("go"), range(100), "--retries", "50", "--limit", "4", "--json")

    assert ran.code == 130
    assert ran.lines == []
    assert ran.summary["unfinished"] == 4
    assert "4 items had begun and were given up (lines 1, 2, 3, 4)" in ran.err


def test_a_message_that_cannot_be_made_is_no_end(run, agent):
    """The user's exception class may fail in its own ``__str__``."""
    rude = agent(
        "class Rude(Exception):\n"
        "    def __str__(self): raise RuntimeError\n"
        "def go(item): raise Rude\n"
    )

    ran = run(rude("go"), [1])

    assert ran.lines[0]["error"] == {
        "type": "Rude",
        "message": "(its message could not be made: RuntimeError)",
    }


def test_the_loop_is_left_as_clean_as_it_was(run, agent):
    """A task that the function has left on the loop is cancelled, not destroyed."""
    leaves = agent(
        "import asyncio\n"
        "tasks = []\n"
        "async def go(item):\n"
        "    tasks.append(asyncio.create_task(asyncio.sleep(3600)))\n"
        "    await asyncio.sleep(0)\n"
    )

    ran = run(leaves("go"), [1, 2])

    assert ran.code == 0
    assert all(task.cancelled() for task in sys.modules["mapped_agent"].tasks)
    assert ran.err.count("\n") == 1


def test_retries_are_counted_as_attempts(run, agent):
    """The second attempt may succeed."""
    flaky = agent(
        "seen = set()\n"
        "async def go(item):\n"
        "    if item in seen: return 'at last'\n"
        "    seen.add(item)\n"
        "    raise ConnectionError('not yet')\n"
    )

    ran = run(flaky("go"), [1, 2, 3], "--retries", "1", "--json")

    assert ran.code == 0
    assert [(line["value"], line["attempts"]) for line in ran.lines] == [("at last", 2)] * 3
    assert ran.summary["attempts"] == 6


def test_too_many_failures_end_the_run(run, basics):
    """What is in flight is finished and written; the rest is not begun."""
    ran = run(basics("odd_fails"), range(1000), "--max-failures", "3", "--limit", "2", "--json")

    summary = ran.summary
    assert ran.code == 1
    assert 3 <= summary["failed"] <= 5
    assert summary["total_seen"] < 100
    assert len(ran.lines) == summary["done"] + summary["failed"]
    assert "stopped after 3 failures (--max-failures 3)" in ran.err


@pytest.mark.parametrize("ordered", [True, False])
def test_a_signal_ends_the_run_in_good_order(run, basics, ordered):
    """What was in flight is written, nothing new begins, the exit code is the signal's."""
    options = ["--limit", "3", "--json", *(["--ordered"] if ordered else [])]

    ran = run(basics("interrupt_at_five"), range(1000), *options)

    summary = ran.summary
    assert ran.code == 130
    assert summary["interrupted"] == "SIGINT"
    assert summary["exit_code"] == 130
    assert sorted(line["value"] for line in ran.lines) == list(range(summary["done"]))
    assert 5 <= summary["done"] < 100
    assert summary["unfinished"] == 0


def test_what_waited_for_its_turn_is_written_when_the_head_is_given_up(run, basics):
    """With ``--ordered`` an item that hangs must not take the finished ones behind it with it."""
    options = ["--ordered", "--limit", "4", "--grace", "0.1", "--json"]

    ran = run(basics("terminate_in_first"), range(1000), *options)

    summary = ran.summary
    values = [line["value"] for line in ran.lines]
    assert ran.code == 143
    assert summary["unfinished"] == 1
    assert values == sorted(values)
    assert len(values) == summary["done"]
    assert 0 not in values
    assert "line 1" in ran.err


def test_after_a_signal_resume_does_the_rest(run, basics):
    """Nothing twice, nothing left out."""
    run(basics("interrupt_at_five"), range(30), "--limit", "3")

    ran = run(basics("same"), range(30), "--resume")

    assert ran.code == 0
    assert sorted(line["value"] for line in ran.lines) == list(range(30))


def test_what_the_function_prints_is_not_among_the_results(run, basics):
    """With ``-o -`` it goes to standard error, also from a child process."""
    ran = run(basics("chatty"), [1, 2], output="-")

    assert sorted(json.loads(line)["value"] for line in ran.out.splitlines()) == [1, 2]
    assert ran.err.count("noise from the function") == 2
    assert ran.err.count("noise from a child") == 2


def test_what_the_function_prints_is_not_in_the_summary(run, basics):
    """With ``--json`` standard output holds one JSON object."""
    ran = run(basics("chatty"), [1, 2], "--json")

    assert ran.summary["done"] == 2
    assert ran.out.count("\n") == 1


def test_a_named_pipe_is_read_as_it_comes(run, basics, tmp_path):
    """Something that has to be waited for is not asked for its size."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(b"1\n2\n3\n",))
    writer.start()

    ran = run(basics("double"), [], "--ordered", source=fifo)
    writer.join()

    assert [line["value"] for line in ran.lines] == [2, 4, 6]


def test_standard_error_gets_one_line_when_all_is_well(run, basics):
    """Quiet where it is no terminal."""
    ran = run(basics("same"), [1, 2, 3])

    assert ran.err.count("\n") == 1
    assert ran.err.startswith("holdfast map: 3 done, 0 failed in ")


@pytest.mark.parametrize("function", ["double", "double_later", "at_once"])
def test_a_rate_lets_everything_through_in_the_end(run, basics, function):
    """More items than may start at once."""
    ran = run(basics(function), range(100), "--rate", "60/s")

    assert ran.code == 0
    assert len(ran.lines) == 100


def test_the_rate_holds_back_what_could_start(run, agent):
    """One start in three seconds: the others still wait when the run is stopped."""
    stops = agent(
        "import asyncio, signal\n"
        "def stop(): signal.raise_signal(signal.SIGINT)\n"
        "async def go(item):\n"
        "    asyncio.get_running_loop().call_later(0.2, stop)\n"
        "    return item\n"
    )

    ran = run(stops("go"), range(10), "--rate", "1/3s", "--json")

    assert ran.code == 130
    assert ran.summary["done"] == 1
    assert ran.summary["not_started"] == ran.summary["total_seen"] - 1
