"""A server for the tests of shared clients: it keeps connections open, and knows how many."""

import asyncio
import contextlib
import threading


class Server:
    """Keeps connections open, and knows how many. ``/slow`` answers when it is let go."""

    def __init__(self):
        self.open = self.peak = self.requests = 0
        self.go = asyncio.Event()
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def end_all(self):
        """Leave every connection."""
        for task in list(self._tasks):
            task.cancel()

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    self.requests += 1
                    path = head.split()[1]
                    if path == b"/slow":
                        await self.go.wait()
                    if path == b"/endless":
                        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin")
                        await writer.drain()
                        await reader.read()
                        return
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    await writer.drain()
        finally:
            self.open -= 1
            self._tasks.discard(asyncio.current_task())
            writer.close()


@contextlib.contextmanager
def server_in_thread():
    """Run one on a loop of its own, for tests that block; it ends with the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def there(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    async def make():
        return await Server().__aenter__()

    server = there(make())
    server.let_go = lambda: loop.call_soon_threadsafe(server.go.set)
    server.hang_up = lambda: loop.call_soon_threadsafe(server.end_all)
    try:
        yield server
    finally:
        there(server.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
