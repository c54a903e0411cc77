"""Another process, watched from outside: the same levels and trends as a monitor's."""

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

from holdfast.watch import ProcessWatch

PROGRAM = (
    "import os, resource, sys, threading\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (600, 4000))\n"
    "print('ready', flush=True)\n"
    "kept, stop = [], threading.Event()\n"
    "for line in sys.stdin:\n"
    "    word, count = line.split()\n"
    "    for _ in range(int(count)):\n"
    "        if word == 'open':\n"
    "            kept.append(os.open('/dev/null', os.O_RDONLY))\n"
    "        elif word == 'close':\n"
    "            os.close(kept.pop(0))\n"
    "        elif word == 'thread':\n"
    "            threading.Thread(target=stop.wait, daemon=True).start()\n"
    "    print('done', flush=True)\n"
)


@contextmanager
def told():
    """A program that does what it is told."""
    with subprocess.Popen(  # noqa: S603 - a program of our own
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()

        def do(word, count=1):
            process.stdin.write(f"{word} {count}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"

        yield process, do
        process.kill()


def test_a_leak_is_told_with_its_place_and_its_forecast(fake_clock):
    """One every two seconds, below a limit of 600."""
    changes = []
    with told() as (process, do):
        watch = ProcessWatch(process.pid)
        for second in range(600):
            if second % 2:
                do("open")
            found = watch.take()
            changes += [(second, text) for text in found.changes]
            if found.trends[0].growing:
                break
            fake_clock.advance(1)

    verdict = found.trends[0]
    assert verdict.growing
    assert verdict.limit == 600
    assert verdict.growth[0].place == "device /dev/null"
    assert verdict.per_minute == pytest.approx(30, rel=0.2)
    assert changes[-1][1].startswith("descriptors grow 30 a minute")
    assert changes[-1][1].endswith("[weak evidence]")


def test_what_comes_and_goes_is_no_leak(fake_clock):
    """As many are closed as are opened."""
    with told() as (process, do):
        watch = ProcessWatch(process.pid)
        do("open", 100)
        for second in range(600):
            if second % 2:
                do("open")
                do("close")
            found = watch.take()
            assert not found.trends[0].growing
            fake_clock.advance(1)


def test_a_level_is_told_once(fake_clock):
    """When it is reached, and not again."""
    with told() as (process, do):
        watch = ProcessWatch(process.pid)
        assert watch.take().levels["descriptors"] == "ok"
        do("open", 580)
        changes = []
        for _ in range(60):
            fake_clock.advance(1)
            changes += watch.take().changes

    of_descriptors = [text for text in changes if text.startswith("descriptors: ")]
    assert of_descriptors == ["descriptors: critical, 583 of 600 (soft RLIMIT_NOFILE)"]


def test_thresholds_can_be_set(fake_clock):
    """As those of a monitor."""
    with told() as (process, do):
        watch = ProcessWatch(process.pid, thresholds={"descriptors": None, "threads": None})
        do("open", 580)
        found = watch.take()

    assert "descriptors" not in found.levels
    assert "memory" in found.levels


def test_it_is_what_json_can_hold(fake_clock):
    """With the names of a snapshot, so that the same screen shows both."""
    with told() as (process, do):
        do("thread", 3)
        found = json.loads(json.dumps(ProcessWatch(process.pid).take().to_dict(), allow_nan=False))

    assert found["pid"] == process.pid
    assert found["threads"] == 4
    assert found["bounds"]["descriptors"]["bound"] == 600
    assert found["trends"][0]["text"].startswith("descriptors: ")
    assert found["kinds"]["pipe"] == 2


def test_a_process_that_ends_is_told(fake_clock):
    """By the next sample."""
    with told() as (process, _):
        watch = ProcessWatch(process.pid)
        watch.take()
        process.kill()
        process.wait()
        with pytest.raises(ProcessLookupError):
            watch.take()


def test_what_is_kept_is_bounded(fake_clock):
    """A minute more is a few numbers more, and of minutes there are as many as a day has."""
    import tracemalloc

    with told() as (process, _):
        watch = ProcessWatch(process.pid)

        def minutes(count):
            for _ in range(count):
                watch.take()
                fake_clock.advance(60)

        minutes(100)
        tracemalloc.start()
        before = tracemalloc.take_snapshot()
        minutes(200)
        after = tracemalloc.take_snapshot()
        tracemalloc.stop()

    grown = sum(each.size_diff for each in after.compare_to(before, "filename"))
    assert grown < 200 * 1000
