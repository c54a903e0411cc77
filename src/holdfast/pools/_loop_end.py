"""What becomes of calls whose loop is closed before they have ended.

Their coroutines will not go on, so nobody else would settle their futures or give their permits back.

Guarantees, when a loop closes: who waits in line has left it; a permit that had come to a coroutine which
has not gone on since is the next one's; a call that was submitted is cancelled, and its permit is back. A
coroutine that holds a permit inside of ``run`` gives it back when its task is collected, as all that it
has opened is closed then.
"""

import asyncio
from typing import Any

from holdfast.pools._awaiting import Link, chain, code_of, frame_of
from holdfast.pools._deadlock_stacks import is_ours

__all__ = ("let_calls_go",)

_SUBMITTED = frozenset(("AsyncCall._run", "DeadlineAsyncCall._run"))
_IN_LINE = frozenset(("AsyncCore.wait_for_permit", "stand_in_line"))


def let_calls_go(loop: asyncio.AbstractEventLoop) -> None:
    """On the thread that is about to close ``loop``."""
    for task in asyncio.all_tasks(loop):
        links = chain(task)
        if not links:
            continue
        if (waiter := _name_in(links[-1], _IN_LINE, "waiter")) is not None:
            waiter.leave_line()
        if (call := _name_in(links[0], _SUBMITTED, "self")) is not None:
            call.loop_ended()


def _name_in(link: Link, functions: frozenset[str], name: str) -> Any:
    code, frame = code_of(link), frame_of(link)
    if code.co_qualname in functions and is_ours(code) and frame is not None:
        return frame.f_locals.get(name)
    return None
