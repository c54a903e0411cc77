"""Who is asked for where a stack ends: the task that made a task, whatever its loop is called with."""

import asyncio
import contextvars

import pytest

from holdfast.adapters._patches import Patches
from holdfast.adapters.guard import callers


class _AsItComes(asyncio.SelectorEventLoop):
    """A loop whose ``create_task`` does not say what it takes, as those of later Pythons."""

    def create_task(self, coro, **options):
        return asyncio.Task(coro, loop=self, name=options.get("name"))


@pytest.fixture(params=[asyncio.BaseEventLoop, _AsItComes])
def loop(request):
    """A loop that remembers who makes tasks."""
    patches = Patches()
    callers._remember_parents(patches, request.param, lambda: 1000)
    kind = request.param if request.param is _AsItComes else asyncio.SelectorEventLoop
    with asyncio.Runner(loop_factory=kind) as runner:
        yield runner
    patches.undo()
    callers._parents.clear()


async def _nothing():
    return contextvars.copy_context()


def test_a_task_knows_the_task_that_made_it(loop):
    """Also where two make tasks in turns, and none where a callback does."""

    async def make():
        one = asyncio.ensure_future(_nothing())
        await asyncio.sleep(0)
        two = asyncio.ensure_future(_nothing())
        return asyncio.current_task(), one, two

    async def main():
        made = await asyncio.gather(make(), make())
        later = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(
            lambda: later.set_result(asyncio.get_running_loop().create_task(_nothing()))
        )
        for parent, *children in made:
            assert [callers.parent_of(child) for child in children] == [parent, parent]
            assert callers.parent_of(parent) is asyncio.current_task()
        assert callers.parent_of(await later) is None

    loop.run(main())


def test_options_of_a_task_reach_its_loop(loop):
    """Its name, say."""

    async def main():
        named = asyncio.get_running_loop().create_task(_nothing(), name="a name")
        await named
        return named.get_name()

    assert loop.run(main()) == "a name"


def test_a_call_on_a_worker_is_of_the_line_that_gave_it_away():
    """And is nobody's once it has run."""
    call = callers.carry(callers.beyond)

    assert call()[0][0] is test_a_call_on_a_worker_is_of_the_line_that_gave_it_away.__code__
    assert callers._call.site is None
