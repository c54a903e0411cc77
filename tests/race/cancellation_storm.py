"""A storm of cancellations: one wave after the other, for minutes.

    python -m tests.race.cancellation_storm --minutes 10

What a wave is, and what is asked of it, stands in ``cancellation_wave.py``. A line a second says how far
it is, a table at the end what became of all calls. The exit code is 0 if nothing was wrong. The seed is
printed; with ``--seed`` the same waves come again, though threads take their turns as they please.
"""

import argparse
import itertools
import logging
import random
import sys
import time
from collections import Counter
from functools import partial

from tests.race.cancellation_wave import KINDS, MOMENTS, OUTCOMES, Wave

__all__ = ("main",)

Totals = Counter[tuple[str, str, str]]
"""Calls by pool, by the moment of their cancellation, and by outcome."""


def main(arguments: list[str] | None = None) -> int:
    """Let waves come for so many minutes; 0 if every call of each was accounted for."""
    options = _options(arguments)
    logging.getLogger("holdfast").setLevel(logging.ERROR)  # abandoned calls are what we came for
    _say(f"seed {options.seed}, python {sys.version.split()[0]}")
    begun, totals, standing, faults = time.monotonic(), Totals(), 0, 0
    for number in itertools.count(1):
        wave = Wave(options.seed + number, options.waiters)
        wave.run(partial(_show, number, begun))
        for fault in wave.faults[:20]:
            _say(f"wave {number} (--seed {options.seed + number - 1}): {fault}")
        faults += len(wave.faults)
        standing = max(standing, wave.standing)
        outcome = dict(wave.told)
        totals.update(
            (call.kind, str(call.moment), outcome.get(call.index, "")) for call in wave.calls
        )
        if time.monotonic() - begun >= 60 * options.minutes:
            _say(f"\n{number} waves, {totals.total()} calls, {standing} waiting at once at most")
            break
    _show_totals(totals)
    _say(f"\n{faults} faults")
    return 1 if faults else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.race.cancellation_storm", description="A storm of cancellations."
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--waiters", type=int, default=100_000, help="calls in each wave")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _show(number: int, begun: float, wave: Wave) -> None:
    threads, coroutines = wave.stats()
    _say(
        f"{time.monotonic() - begun:6.0f} s  wave {number}: {len(wave.told)} of {len(wave.calls)} told, "
        f"{len(wave.ran)} ran; waiting {threads.queued + threads.blocked} + "
        f"{coroutines.queued + coroutines.blocked}, in flight {threads.in_flight} + "
        f"{coroutines.in_flight}, abandoned {threads.abandoned}, threads {threads.threads}"
    )


def _show_totals(totals: Totals) -> None:
    _say(f"\n{'pool':<12}{'cancelled when':<16}" + "".join(f"{name:>12}" for name in OUTCOMES))
    for kind, moment in itertools.product(KINDS, dict.fromkeys(map(str, MOMENTS))):
        row = "".join(f"{totals[kind, moment, outcome]:>12}" for outcome in OUTCOMES)
        _say(f"{kind:<12}{moment.replace('None', 'never'):<16}{row}")


if __name__ == "__main__":
    sys.exit(main())
