"""Worker threads of anyio come from the shared pool.

As in anyio a call holds a token of its limiter; unlike there the token is held until the *thread* has
ended the call, so that callers who give up can't start threads without end, and idle threads end by
themselves. Written for anyio 4: where its insides are not as they were known, nothing is changed.
"""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from holdfast.adapters._patches import Patches
from holdfast.adapters._shared_pool import shared_pool

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ("share_anyio_workers",)

_NEEDED: Final = ("AsyncIOBackend", "CancelScope", "claim_worker_thread", "threadlocals")

Submit = Callable[[Callable[[], Any]], "Future[Any]"]


def _plain(call: Callable[[], Any]) -> "Future[Any]":
    return shared_pool().submit(call)


def share_anyio_workers(patches: Patches, submit: Submit = _plain) -> None:
    """Let ``anyio.to_thread.run_sync`` run on the shared pool, in every loop of asyncio."""

    def treat(module: ModuleType) -> None:
        if all(hasattr(module, name) for name in _NEEDED):
            run = _runner(module, submit)
            patches.set(module.AsyncIOBackend, "run_sync_in_worker_thread", classmethod(run))

    patches.after_import("anyio._backends._asyncio", treat)


def _runner(anyio: Any, submit: Submit) -> Callable[..., Any]:
    async def run_sync_in_worker_thread(
        cls: Any,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        abandon_on_cancel: bool = False,
        limiter: Any = None,
    ) -> Any:
        await cls.checkpoint()
        limiter = limiter or cls.current_default_thread_limiter()
        borrower = object()
        await limiter.acquire_on_behalf_of(borrower)
        loop = asyncio.get_running_loop()

        def free() -> None:
            limiter.release_on_behalf_of(borrower)

        try:
            with anyio.CancelScope(shield=not abandon_on_cancel) as scope:
                given = abandon_on_cancel or scope._parent_scope is None  # noqa: SLF001 - as anyio does
                call = _call(anyio, scope if given else scope._parent_scope, loop, func, args)  # noqa: SLF001
                future = submit(call)
        except BaseException:
            free()
            raise
        with anyio.CancelScope(shield=not abandon_on_cancel):
            future.add_done_callback(lambda _: _in_loop(loop, free))
            return await asyncio.wrap_future(future)

    return run_sync_in_worker_thread


def _call(
    anyio: Any, scope: Any, loop: asyncio.AbstractEventLoop, func: Any, args: Any
) -> Callable[[], Any]:
    context = copy_context()
    context.run(anyio.set_current_async_library, None)

    def call() -> Any:
        with anyio.claim_worker_thread(anyio.AsyncIOBackend, loop):
            anyio.threadlocals.current_cancel_scope = scope
            try:
                return context.run(func, *args)
            except StopIteration as error:
                msg = "coroutine raised StopIteration"
                raise RuntimeError(msg) from error
            finally:
                del anyio.threadlocals.current_cancel_scope

    return call


def _in_loop(loop: asyncio.AbstractEventLoop, free: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(free)
    except RuntimeError:  # the loop is closed, and its limiter with it
        return
