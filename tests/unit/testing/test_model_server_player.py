"""How a script is played on a transport."""

import asyncio
from collections.abc import Iterable

import pytest

from holdfast.testing.model_server._http.player import Player
from holdfast.testing.model_server._http.reply import NEVER, Reply, Step


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and can be full or closing."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = False
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = self.closing = True


class Game:
    """A player, its wire, and what it reported."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.wire = Wire()
        self.ended: list[bool] = []
        self.over = asyncio.Event()
        self.player = Player(
            Reply(200, iter(steps), keep_alive=True, ended=self.ended.append),
            self.wire,
            self.over.set,
        )


async def test_steps_without_a_pause_go_out_in_one_write():
    """Head and body of a small answer are one packet."""
    game = Game([(0.0, b"a"), (0.0, b"b")])

    game.player.play()

    assert game.wire.written == [b"ab"]
    assert (game.ended, game.over.is_set()) == ([True], True)


async def test_a_pause_parts_the_writes():
    """What is due goes out before the wait, the rest after it."""
    game = Game([(0.0, b"a"), (0.001, b"b"), (0.0, b"c")])

    game.player.play()
    first = list(game.wire.written)
    await game.over.wait()

    assert first == [b"a"]
    assert game.wire.written == [b"a", b"bc"]


async def test_a_long_script_is_pulled_only_as_far_as_there_is_room():
    """A client that does not read holds up the script, not the memory."""
    pulled = 0

    def steps() -> Iterable[Step]:
        nonlocal pulled
        for _ in range(100):
            pulled += 1
            yield 0.0, b"x" * 10_000

    game = Game(steps())
    write = game.wire.write

    def fill(data: bytes | bytearray | memoryview) -> None:
        write(data)
        game.player.hold()

    game.wire.write = fill  # type: ignore[method-assign]
    game.player.play()
    at_first = pulled
    while not game.over.is_set():
        game.player.go_on()

    assert at_first < 10
    assert len(b"".join(game.wire.written)) == 1_000_000
    assert game.ended == [True]


async def test_time_that_passes_while_the_client_does_not_read_sends_nothing():
    """The step whose time came waits for room."""
    game = Game([(0.0, b"a"), (0.001, b"b")])
    game.player.play()
    game.player.hold()
    await asyncio.sleep(0.01)
    held = list(game.wire.written)

    game.player.go_on()

    assert held == [b"a"]
    assert game.wire.written == [b"a", b"b"]


async def test_stopping_writes_no_more_and_reports_once():
    """After stop nothing happens, whatever is called."""
    game = Game([(0.0, b"a"), (0.001, b"b")])
    game.player.play()

    game.player.stop()
    game.player.stop()
    game.player.go_on()
    await asyncio.sleep(0.01)

    assert game.wire.written == [b"a"]
    assert (game.ended, game.over.is_set()) == ([False], False)


async def test_a_script_that_never_ends_leaves_no_timer():
    """A hang is the absence of everything."""
    game = Game([(NEVER, b"")])

    game.player.play()
    game.player.go_on()

    assert game.player.never_ends
    assert (game.wire.written, game.ended) == ([], [])


async def test_nothing_is_written_to_a_closing_transport_nor_counted_as_sent():
    """A reply that could not go out is not an answer."""
    game = Game([(0.0, b"a"), (0.001, b"b")])
    game.player.play()

    game.wire.closing = True
    await asyncio.sleep(0.01)
    game.player.go_on()
    game.player.stop()

    assert game.wire.written == [b"a"]
    assert game.ended == [False]


async def test_a_script_that_raises_ends_its_connection(caplog: pytest.LogCaptureFixture):
    """A fault of the server is logged, and its client is not left waiting."""

    def steps() -> Iterable[Step]:
        yield 0.0, b"a"
        raise ZeroDivisionError

    game = Game(steps())

    game.player.play()
    game.player.stop()

    assert game.wire.aborted
    assert game.ended == [False]
    assert "failed to write a reply" in caplog.text
