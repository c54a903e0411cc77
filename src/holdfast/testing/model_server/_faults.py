"""Which call meets which fault, and what a fault does to an answer's script."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from random import Random

from holdfast.testing.model_server._http.reply import Step
from holdfast.testing.model_server._options import Options

__all__ = ("Fate", "Fates", "Fault", "break_off", "dribble", "stall")

_SHORTEST_PAUSE_S = 0.005


class Fault(Enum):
    """What goes wrong with a call."""

    NONE = auto()
    ERROR = auto()
    OVERLOADED = auto()
    STREAM_ERROR = auto()
    HANG = auto()
    DISCONNECT = auto()
    DRIBBLE = auto()
    PAUSE = auto()


@dataclass(frozen=True, slots=True)
class Fate:
    """What is in store for one call: its fault, and the source of its latencies."""

    fault: Fault
    rng: Random


class Fates:
    """Draws a fate for each call.

    Guarantees: the n-th call meets the same fate whenever the seed and the rates are the same,
    however many calls are in flight; changing one option does not change the others' draws.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._drawn = 0

    def draw(self, *, stream: bool) -> Fate:
        """Draw the fate of the next call, which is to be streamed or not."""
        # One generator for each call: latencies drawn while streaming can't disturb other calls.
        rng = Random((self._options.seed << 40) + self._drawn)  # noqa: S311 - repeatable, not secret
        self._drawn += 1
        where, which, in_stream = rng.random(), rng.random(), rng.random()
        fault = self._fault(where, which)
        if fault is Fault.NONE and stream and in_stream < self._options.stream_error_rate:
            fault = Fault.STREAM_ERROR
        return Fate(fault, rng)

    def _fault(self, where: float, which: float) -> Fault:
        options = self._options
        half = which < 0.5  # noqa: PLR2004 - a half
        by_mode = {
            "dribble": Fault.DRIBBLE,
            "pause": Fault.PAUSE,
            "mix": Fault.DRIBBLE if half else Fault.PAUSE,
        }
        shares = (
            (options.error_rate, Fault.ERROR if half else Fault.OVERLOADED),
            (options.hang_rate, Fault.HANG),
            (options.disconnect_rate, Fault.DISCONNECT),
            (options.stall_rate, by_mode[options.stall_mode]),
        )
        for share, fault in shares:
            if where < share:
                return fault
            where -= share
        return Fault.NONE


# ---------------------------------------------------------------- scripts
# A script's first step is the head; faults happen in the body, whole or streamed.


def dribble(steps: Iterable[Step], seconds: float) -> Iterator[Step]:
    """Send the body byte by byte, so that it takes ``seconds`` longer.

    Where bytes would follow each other faster than timers can tell, a few of them go together.
    """
    head, *body = steps
    total = max(1, sum(len(data) for _, data in body))
    size = max(1, math.ceil(total * _SHORTEST_PAUSE_S / seconds))
    yield head
    for before, data in body:
        wait = before
        for place in range(0, len(data), size):
            piece = data[place : place + size]
            yield wait + seconds * len(piece) / total, piece
            wait = 0.0


def stall(steps: Iterable[Step], seconds: float) -> Iterator[Step]:
    """Send half of the body, wait for ``seconds``, then send the rest."""
    first, (before, data), rest = _halves(steps)
    yield from first
    yield before + seconds, data
    yield from rest


def break_off(steps: Iterable[Step]) -> Iterator[Step]:
    """Send half of the body and no more."""
    first, _, _ = _halves(steps)
    yield from first


def _halves(steps: Iterable[Step]) -> tuple[list[Step], Step, list[Step]]:
    """Cut the body's bytes in half: all before, the step after the cut, all after that."""
    head, *body = steps
    left = sum(len(data) for _, data in body) // 2
    for place, (before, data) in enumerate(body):
        if left < len(data):
            first = [head, *body[:place], (before, data[:left])]
            return first, (0.0, data[left:]), body[place + 1 :]
        left -= len(data)
    return [head, *body], (0.0, b""), []
