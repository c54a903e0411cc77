"""The check that every test of this suite is under: it sees what is left, and nothing else."""

import asyncio
import os
import threading

import pytest

from holdfast.testing import assert_no_leaks, holdings


def test_nothing_new_is_no_leak():
    """Two looks at a process that does nothing in between agree."""
    before = holdings()

    assert_no_leaks(before, patience=0)


def test_a_descriptor_left_open_is_named():
    """The message says which one, and what it leads to."""
    before = holdings()
    fd = os.open(os.devnull, os.O_RDONLY)
    try:
        with pytest.raises(AssertionError, match=rf"descriptor {fd} \({os.devnull}\)"):
            assert_no_leaks(before, patience=0)
    finally:
        os.close(fd)

    assert_no_leaks(before, patience=0)


def test_a_thread_left_running_is_named():
    """The message carries its name."""
    before = holdings()
    go = threading.Event()
    thread = threading.Thread(daemon=True, target=go.wait, name="left-over")
    thread.start()
    try:
        with pytest.raises(AssertionError, match=r"left-over"):
            assert_no_leaks(before, patience=0)
    finally:
        go.set()
        thread.join()


def test_a_thread_that_is_about_to_end_is_waited_for():
    """What ends within the patience is no leak."""
    before = holdings()
    go = threading.Event()
    thread = threading.Thread(daemon=True, target=go.wait, args=(0.05,))
    thread.start()

    assert_no_leaks(before, patience=20)

    assert not thread.is_alive()


@pytest.mark.system
def test_a_child_process_left_running_is_named():
    """A child of ``multiprocessing`` counts."""
    import multiprocessing

    before = holdings()
    context = multiprocessing.get_context("fork")  # the others leave a helper process behind
    here, there = context.Pipe()
    child = context.Process(target=there.recv, name="left-child", daemon=True)
    child.start()
    try:
        with pytest.raises(AssertionError, match="left-child"):
            assert_no_leaks(before, patience=0)
    finally:
        here.send(None)
        child.join()
        child.close()
        here.close()
        there.close()


async def test_a_coroutine_that_goes_on_is_no_leak():
    """The task that asks was there before, wherever it has come to since."""
    before = holdings()
    await asyncio.sleep(0)

    assert_no_leaks(before, patience=0)


async def test_a_task_left_pending_is_named():
    """In a coroutine the tasks of its loop count."""
    before = holdings()
    task = asyncio.create_task(asyncio.Event().wait(), name="left-task")
    try:
        with pytest.raises(AssertionError, match="left-task"):
            assert_no_leaks(before, patience=0)
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_what_was_there_before_may_go():
    """Holding less than before is no leak."""
    fd = os.open(os.devnull, os.O_RDONLY)
    before = holdings()
    os.close(fd)

    assert_no_leaks(before, patience=0)
