"""A small HTTP/1.1 client for asyncio: JSON over connections that stay open between requests.

It does what the demo needs without a package to install. A connection belongs to one request at a
time; it goes back to the idle ones only after its answer was read to the end, so that a request
that failed or was cancelled half-way can't leave its answer to the next.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from loop_end import Parked, at_loop_end

LARGEST_BODY = 16 * 1024 * 1024
MOST_HEADERS = 100


class HttpError(ConnectionError):
    """No usable answer came back."""


class NeverAnsweredError(EOFError):
    """The other side closed the connection before the first byte of an answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read to its end."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, slots=True)
class Connection:
    """The two directions of one TCP or TLS connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def is_usable(self) -> bool:
        """Say whether the other side has left it open, as far as is known here."""
        return not (self.reader.at_eof() or self.writer.is_closing())


class HttpClient:
    """Posts JSON to one server; made anywhere, used in one event loop, closed with that loop.

    Args:
        base_url: ``http://host:port`` or ``https://host``, with or without a path.
        timeout: Seconds for one request, from connecting to the last byte.
        max_connections: Most connections at once; further requests wait for one.
    """

    def __init__(self, base_url: str, *, timeout: float = 60.0, max_connections: int = 100) -> None:
        url = urlsplit(base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            message = f"a base URL looks like http://127.0.0.1:8080, not {base_url!r}"
            raise ValueError(message)
        self.opened = 0
        self._host = url.hostname
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._port = url.port or (443 if self._tls else 80)
        self._prefix = url.path.rstrip("/")
        self._authority = url.netloc.rpartition("@")[2]
        self._timeout = timeout
        self._max_connections = max_connections
        self._permits = asyncio.Semaphore(max_connections)
        self._idle: list[Connection] = []
        self._at_end: Parked | None = None

    async def post(self, path: str, headers: Mapping[str, str], value: Any) -> Response:
        """Send a value as JSON and return the answer, whatever its status.

        Raises:
            HttpError: The server can't be reached, broke off, took longer than ``timeout`` seconds
                or sent what is not HTTP.
        """
        if self._at_end is None:
            self._at_end = await at_loop_end(self._close_idle)
        where = f"{self._host}:{self._port}"
        request = self._compose(path, headers, json.dumps(value).encode())
        try:
            async with asyncio.timeout(self._timeout), self._permits:
                return await self._exchange(request)
        except TimeoutError as error:
            message = f"{where} did not answer within {self._timeout:g} s"
            raise HttpError(message) from error
        except (OSError, EOFError, ValueError) as error:
            message = f"no answer from {where}: {type(error).__name__}: {error}"
            raise HttpError(message) from error

    async def close(self) -> None:
        """Close the idle connections now; one that is in use is closed when its request ends."""
        if self._at_end is not None:
            await self._at_end.aclose()

    async def _close_idle(self) -> None:
        idle, self._idle = self._idle, []
        # As new: another event loop may come, and nothing of this one would work in it.
        self._permits = asyncio.Semaphore(self._max_connections)
        self._at_end = None
        for connection in idle:
            connection.writer.close()
        for connection in idle:
            with contextlib.suppress(OSError):
                await connection.writer.wait_closed()

    def _compose(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [
            f"POST {self._prefix}{path} HTTP/1.1",
            f"host: {self._authority}",
            "content-type: application/json",
            "accept: application/json",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    async def _exchange(self, request: bytes) -> Response:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_usable():
                connection.writer.close()
                continue
            # The server may give an idle connection up while the request is on its way. What it
            # closed without a word it has not worked on, so this is the one case to repeat.
            with contextlib.suppress(NeverAnsweredError):
                return await self._send(connection, request)
        return await self._send(await self._connect(), request)

    async def _connect(self) -> Connection:
        self.opened += 1
        return Connection(*await asyncio.open_connection(self._host, self._port, ssl=self._tls))

    async def _send(self, connection: Connection, request: bytes) -> Response:
        idle, reusable = self._idle, False
        try:
            status_line = await start_exchange(connection, request)
            response = await read_response(status_line, connection.reader)
            reusable = "close" not in response.headers.get("connection", "").lower()
            return response
        finally:
            if reusable and connection.is_usable() and idle is self._idle:
                self._idle.append(connection)
            else:
                connection.writer.close()


async def start_exchange(connection: Connection, request: bytes) -> bytes:
    """Send a request and return the first line of its answer.

    Raises:
        NeverAnsweredError: The other side closed the connection instead.
    """
    try:
        connection.writer.write(request)
        await connection.writer.drain()
        line = await connection.reader.readline()
    except ConnectionError as error:
        raise NeverAnsweredError(str(error)) from error
    if not line:
        message = "the connection was closed before an answer"
        raise NeverAnsweredError(message)
    return line


async def read_response(status_line: bytes, reader: asyncio.StreamReader) -> Response:
    """Read the rest of an answer, to its end.

    Raises:
        EOFError: The connection ended before the answer did.
        ValueError: What came is not HTTP/1.1, or is longer than this client reads.
    """
    status = read_status(status_line)
    headers = await read_headers(reader)
    while 100 <= status < 200:  # noqa: PLR2004 - "continue" and its like come before the answer
        status = read_status(await reader.readline())
        headers = await read_headers(reader)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = await read_chunks(reader)
    elif "content-length" in headers:
        body = await read_exactly(reader, int(headers["content-length"]))
    else:
        body = await read_rest(reader)
    return Response(status, headers, body)


def read_status(line: bytes) -> int:
    """Return the number in a status line."""
    version, _, rest = line.decode("latin-1").partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        message = f"an answer in HTTP/1.1 was expected, not {line[:40]!r}"
        raise ValueError(message)
    return int(rest[:3])


async def read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    """Read the headers up to the empty line; the names in lower case."""
    headers: dict[str, str] = {}
    for _ in range(MOST_HEADERS):
        line = await reader.readline()
        if not line.endswith(b"\n"):
            message = "the connection was closed among the headers"
            raise EOFError(message)
        name, _, value = line.decode("latin-1").partition(":")
        if not name.strip():
            return headers
        headers[name.strip().lower()] = value.strip()
    message = f"the answer has more than {MOST_HEADERS} headers"
    raise ValueError(message)


async def read_rest(reader: asyncio.StreamReader) -> bytes:
    """Read what comes until the connection ends, if it is not more than an answer may have."""
    parts: list[bytes] = []
    left = LARGEST_BODY
    while part := await reader.read(65_536):
        parts.append(part)
        left -= len(part)
        if left < 0:
            message = f"an answer may have at most {LARGEST_BODY} bytes"
            raise ValueError(message)
    return b"".join(parts)


async def read_exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    """Read a number of bytes, if it is one that an answer may have."""
    if not 0 <= size <= LARGEST_BODY:
        message = f"an answer may have 0 to {LARGEST_BODY} bytes, not {size}"
        raise ValueError(message)
    return await reader.readexactly(size)


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a body that comes in chunks, each with its size before it."""
    chunks: list[bytes] = []
    total = 0
    while True:
        line = await reader.readline()
        if not line.endswith(b"\n"):
            message = "the connection was closed before the last chunk"
            raise EOFError(message)
        size = int(line.partition(b";")[0], 16)
        total += size
        chunks.append(await read_exactly(reader, size if total <= LARGEST_BODY else -1))
        if not size:
            break
        await reader.readline()
    while (await reader.readline()).strip():
        pass  # trailers
    return b"".join(chunks)
