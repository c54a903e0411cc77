"""A program whose lines somebody reads: it runs in a task of its own, the reader comes for more.

States: new -> running (a task follows the program) -> over (its result, or its error, is known).
All of it happens on one loop: the reader's, or the one that blocking code shares, which is borrowed
from the start until the end.
"""

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Final

from holdfast.flow._process_blocking import run_on
from holdfast.flow._process_pool import default_pool
from holdfast.pools import AsyncCalls
from holdfast.pools._bridge import Bridge
from holdfast.track.process.lines import Lines
from holdfast.track.process.run import check_status, follow
from holdfast.track.process.spec import Spec
from holdfast.track.process.tool import Tool

if TYPE_CHECKING:
    from holdfast.track.process.result import ProcessResult

__all__ = ("Following",)

_NONE: Final[list[bytes]] = []


class Following:
    """One program, its lines, and who waits for them."""

    def __init__(
        self, spec: Spec, pool: AsyncCalls | None, max_line_bytes: int, max_buffer_bytes: int
    ) -> None:
        self._spec = spec
        self._pool = pool
        self._lines = Lines(max_line_bytes, max_buffer_bytes)
        self._tool: Tool | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._bridge: Bridge | None = None
        self._closed = False
        self._over = threading.Event()
        self._parting = threading.RLock()  # a reader may go, collected, in the middle of it
        self._parted: set[str] = set()
        self.result: ProcessResult | None = None

    async def more(self) -> list[bytes]:
        """Wait for lines, and return all that there are; none when the program's output has ended.

        Raises:
            CallTimeout: It ran too long.
            ProcessFailed: Its exit status is not 0, and that was to be an error.
            Exception: It could not be started.
        """
        if self._task is None:
            if self._closed:
                return _NONE
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._follow())
            self._task.add_done_callback(self._wake)
            self._task.add_done_callback(self._task_over)
        while not self._lines:
            if self._task.done():
                return self._last_word(self._task)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        lines = self._lines.take()
        if self._tool is not None and self._tool.reader is not None:
            self._tool.reader.resume()
        return lines

    def _last_word(self, task: "asyncio.Task[None]") -> list[bytes]:
        if not self._closed:
            self._closed = True
            if not task.cancelled():
                task.result()
        return _NONE

    async def _follow(self) -> None:
        pool = default_pool() if self._pool is None else self._pool
        tool: Tool | None = None
        try:
            tool = await pool.run(follow, self._spec, self._feed, self._begun)
            # It has ended; what is still in the pipe comes at the reader's pace.
            if tool.reader is not None:
                await tool.reader.ended
            self.result = tool.result(self._lines.total)
        finally:
            self._lines.end()
            if self._tool is not None:
                self._tool.close_output()
        check_status(self._spec, self.result)

    def _begun(self, tool: Tool) -> None:
        self._tool = tool

    def _feed(self, data: bytes) -> bool:
        hungry = self._lines.feed(data)
        if self._lines:
            self._wake()
        return hungry

    def _wake(self, _: object = None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def close(self) -> None:
        """End the program, and wait for its end."""
        self._closed = True
        task = self._task
        if task is None or task.done():
            return
        task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error
                task.cancel()  # once more: without further grace
        if cancelled is not None:
            raise cancelled

    def let_go(self) -> None:
        """End the program soon, because its reader has gone; from any thread, at any moment."""
        self._cancel_soon()
        self._part(reader=True)

    def _cancel_soon(self) -> None:
        loop, task = self._loop, self._task
        if loop is not None and task is not None and not task.done():
            with contextlib.suppress(RuntimeError):  # the loop is closed, and has cancelled it
                loop.call_soon_threadsafe(task.cancel)

    # ------------------------------------------------------------ for blocking code

    def more_blocking(self) -> list[bytes]:
        """Do what :meth:`more` does, in blocking code."""
        if self._bridge is None:
            if self._closed:
                return _NONE
            self._bridge = Bridge.borrow()
        try:
            lines = run_on(self._bridge.loop, self.more())
        except BaseException:
            self.close_blocking()
            raise
        if not lines:
            self._part(reader=True)
        return lines

    def close_blocking(self) -> None:
        """Do what :meth:`close` does, in blocking code."""
        self._closed = True
        self._cancel_soon()
        if self._task is not None:
            self._over.wait()
        self._part(reader=True)

    def _task_over(self, _: object) -> None:
        self._over.set()
        self._part(task=True)

    def _part(self, *, reader: bool = False, task: bool = False) -> None:
        """The reader, or the task, needs the loop of the bridge no longer; the second one gives it back."""
        with self._parting:
            self._parted |= {name for name, over in (("reader", reader), ("task", task)) if over}
            if self._parted < {"reader", "task"} or self._bridge is None:
                return
            bridge, self._bridge = self._bridge, None
        bridge.give_back()
