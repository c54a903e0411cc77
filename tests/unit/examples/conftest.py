"""The example's files are imported by their own names, as `holdfast map agent.py:answer` does."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

DOCS_AGENT = Path(__file__).resolve().parents[3] / "examples" / "docs_agent"
sys.path.insert(0, str(DOCS_AGENT))


@pytest.fixture(scope="session")
def docs_agent() -> Path:
    """The folder of the example."""
    return DOCS_AGENT


@pytest.fixture(scope="session")
def knowledge_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base of the running Python, built by a process of its own."""
    path = tmp_path_factory.mktemp("knowledge") / "knowledge.db"
    command = [sys.executable, str(DOCS_AGENT / "knowledge.py"), str(path)]
    subprocess.run(  # noqa: S603 - this Python and a file of the example
        command, check=True, capture_output=True, timeout=50
    )
    return path


class FakeServer:
    """An HTTP server that sends what a test tells it to, byte for byte.

    Attributes:
        replies: What to send, one for each request; the last one is sent again and again. An empty
            one closes the connection without a word.
        closing: Whether the connection is closed after each reply.
        requests: Path, headers and body of all that came.
        connections: How many connections were made.
        open: How many are open now.
        gone: Set whenever the client has closed a connection.
    """

    def __init__(self):
        self.tasks = set()
        self.replies = [reply_with({})]
        self.closing = False
        self.requests = []
        self.connections = self.open = 0
        self.gone = asyncio.Event()
        self.url = ""

    async def serve(self, reader, writer):
        """Answer the requests of one connection."""
        self.connections += 1
        self.open += 1
        self.tasks.add(asyncio.current_task())
        try:
            while reply := await self._take(reader):
                writer.write(reply)
                await writer.drain()
                if self.closing:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        except asyncio.CancelledError:
            pass  # the test is over; asyncio would log it
        finally:
            self.open -= 1
            writer.close()

    async def _take(self, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((head[0].split()[1], headers, json.loads(body)))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return await reply() if callable(reply) else reply


def reply_with(value, status=200, **headers):
    """Return an answer of a status, with a value as JSON."""
    body = json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def reply():
    """The function that writes an answer."""
    return reply_with


@pytest.fixture
async def server():
    """A server on the loopback interface."""
    fake = FakeServer()
    listening = await asyncio.start_server(fake.serve, "127.0.0.1", 0, limit=2**20)
    fake.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield fake
    listening.close()
    for task in fake.tasks:
        task.cancel()
    await asyncio.gather(*fake.tasks, return_exceptions=True)
    await listening.wait_closed()
