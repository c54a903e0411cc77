"""What a program needs is drawn from the process's descriptors first, and given back on every way out."""

import asyncio
import gc
import os

import pytest
from tests.system.failure_programs import run_program, wait_until

import holdfast
from holdfast import process_lines, run_process, run_process_sync
from holdfast.track import DESCRIPTORS

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def all_given_back():
    """Whatever a test does, nothing stays drawn for a program, and nobody waits."""
    gc.collect()
    before = DESCRIPTORS.drawn
    yield
    gc.collect()
    assert [each for each in DESCRIPTORS.holders() if each[0].startswith("program")] == []
    assert (DESCRIPTORS.drawn, DESCRIPTORS.waiting) == (before, 0)


def drawn_by_programs():
    return {owner: count for owner, count in DESCRIPTORS.holders() if owner.startswith("program")}


@pytest.fixture
def no_room():
    """Draw all that is left for somebody else; the test may give it back."""
    draw = DESCRIPTORS.take(1 << 20, owner="the test", least=1, timeout=0.0, is_open=True)
    with draw:
        yield draw


async def while_it_runs(cmd, **options):
    """What is drawn when it runs."""
    running = asyncio.ensure_future(run_process(cmd, **options))
    found = {}
    while not found:
        await asyncio.sleep(0.001)
        found = drawn_by_programs()
    while (now := drawn_by_programs()) != found or any(count > 4 for count in now.values()):
        found = now  # it is starting
        await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.wait([running])
    return found


@pytest.mark.parametrize(
    ("options", "held"),
    [
        ({}, 3),
        ({"input": [b"x" * (1 << 20)]}, 4),
        ({"stderr": "stdout"}, 2),
        ({"stdout": "discard", "stderr": "discard"}, 1),
    ],
    ids=["outputs", "input too", "one output", "none"],
)
def test_what_is_drawn_is_what_it_holds(options, held):
    """Our ends of its pipes, and the descriptor of the process; all of it back after a cancellation."""
    assert asyncio.run(while_it_runs(["sleep", "60"], **options)) == {"program 'sleep'": held}


def test_it_waits_for_room(no_room):
    """Until somebody gives back; then it runs."""

    async def main():
        running = asyncio.ensure_future(run_process(["echo", "late"], timeout=20))
        while not DESCRIPTORS.waiting:
            await asyncio.sleep(0.001)
        assert not running.done()
        no_room.give_back()
        return (await running).stdout

    assert asyncio.run(main()) == b"late\n"


@pytest.mark.parametrize("how", ["run", "run_sync", "lines", "lines_sync"])
def test_without_room_it_is_refused_and_the_holders_named(no_room, how):
    """Before anything was opened."""

    async def lines():
        async with process_lines(["true"], timeout=0.05) as found:
            return [line async for line in found]

    ways = {
        "run": lambda: asyncio.run(run_process(["true"], timeout=0.05)),
        "run_sync": lambda: run_process_sync(["true"], timeout=0.05),
        "lines": lambda: asyncio.run(lines()),
        "lines_sync": lambda: list(process_lines(["true"], timeout=0.05)),
    }

    with pytest.raises(holdfast.UnderPressure, match=r"of program 'true'.*the test \d+"):
        ways[how]()

    assert drawn_by_programs() == {}


def test_who_is_cancelled_while_it_waits_for_room_leaves_the_line(no_room):
    """And a loop that ends with it, too."""

    async def main():
        running = asyncio.ensure_future(run_process(["true"]))
        while not DESCRIPTORS.waiting:
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert DESCRIPTORS.waiting == 0

    asyncio.run(main())


def test_all_is_given_back_whatever_becomes_of_it():
    """Its end, a timeout, a program that is not there, an error of the input, a bad word."""

    def breaks():
        yield b"x"
        raise LookupError

    async def main():
        await run_process(["true"])
        with pytest.raises(holdfast.CallTimeout):
            await run_process(["sleep", "60"], timeout=0.05)
        with pytest.raises(FileNotFoundError):
            await run_process(["/no/such/program"])
        with pytest.raises(LookupError):
            await run_process(["cat"], input=breaks())
        with pytest.raises(ValueError, match="null byte"):
            await run_process(["echo", "a\0b"])
        return drawn_by_programs()

    assert asyncio.run(main()) == {}


@pytest.mark.parametrize("leave", [False, True], ids=["read on", "leave"])
def test_lines_hold_their_pipe_until_they_are_read(leave, tmp_path):
    """The program has ended, its reader has not: one descriptor, then none; likewise if the reader leaves."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    async def main():
        # It goes on when the reader, which has taken the first line, waits for more.
        script = f"echo 1; cat {gate}; seq 2 2000"
        async with process_lines(["sh", "-c", script], max_buffer_bytes=1) as lines:
            reader = aiter(lines)
            first = await anext(reader)
            gate.write_bytes(b"")
            while drawn_by_programs() != {"program 'sh'": 1}:
                await asyncio.sleep(0.001)
            count = 1 if leave else 1 + len([line async for line in reader])
        return first, count, drawn_by_programs()

    assert asyncio.run(main()) == (b"1\n", 1 if leave else 2000, {})


def test_lines_that_are_dropped_give_back(no_room):
    """In blocking code, without a block around them."""
    no_room.give_back()
    lines = iter(process_lines(["sh", "-c", "echo one; sleep 60"]))
    assert next(lines) == b"one\n"
    assert drawn_by_programs() == {"program 'sh'": 3}

    del lines
    gc.collect()

    wait_until(lambda: not drawn_by_programs())


MANY = """
import asyncio, os, resource
import holdfast
from tests.system.failure_programs import report

def descriptors():
    return len(os.listdir("/proc/self/fd")) - 1

async def main():
    peak = 0
    pool = holdfast.AsyncPool(100, name="programs")
    calls = [
        asyncio.ensure_future(holdfast.run_process(["sh", "-c", f"sleep 0.05; echo {n}"], pool=pool))
        for n in range(100)
    ]
    while not all(call.done() for call in calls):
        peak = max(peak, descriptors())
        await asyncio.sleep(0.002)
    answers = [(await call).text for call in calls]
    return answers == [f"{n}\\n" for n in range(100)], peak

asyncio.run(holdfast.run_process(["true"]))           # what stays for the whole process is there
before = descriptors()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
right, peak = asyncio.run(main())
report(right=right, peak=peak, left=descriptors() - before)
"""


def test_a_hundred_programs_at_once_leave_the_reserve_alone():
    """With 64 descriptors, of which 16 stay for logging, name lookups and reports: each runs, in its turn."""
    figures = run_program(MANY).figures

    assert figures["right"]
    assert figures["left"] <= 0
    assert (
        figures["peak"] <= 64 - 16 + 4
    )  # a look at a process, and at the list, opens one for a moment


BESIDE_A_CLIENT = """
import asyncio, resource
import holdfast
from tests.system.failure_programs import report

async def main():
    await holdfast.run_process(["true"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    holdfast.set_budget(holdfast.Budget.detect())
    holdfast.http.httpx2("model", limit=100, trust_env=False)
    holdfast.http.blocking.httpx2("model", limit=100, trust_env=False)
    limits = [stats.limit for stats in (*holdfast.http.stats(), *holdfast.http.blocking.stats())]
    text = (await holdfast.run_process(["echo", "runs"], timeout=5)).text
    report(text=text, limits=limits, budget=holdfast.current_budget().descriptors)

asyncio.run(main())
"""


def test_a_program_still_runs_beside_clients_that_asked_for_all_there_was():
    """Each client draws its whole limit at once; with 64 descriptors in all there is room for a program's start."""
    figures = run_program(BESIDE_A_CLIENT).figures

    assert figures["text"] == "runs\n"
    assert sum(figures["limits"]) > figures["budget"] // 2
