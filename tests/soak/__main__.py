"""``python -m tests.soak``: the long form of the soak, by command; exit code 0 if nothing grows."""

import argparse
import logging
import os
import sys
import time

from tests.soak.kinds import KINDS
from tests.soak.soak import BARS, Soak

__all__ = ("main",)

_kept: list[object] = []

PLANTS = {
    "bytes": lambda number: _kept.append(bytes(64)),
    "descriptors": lambda number: (
        number % 100 == 0 and _kept.append(os.open(os.devnull, os.O_RDONLY))
    ),
}
"""Leaks, to see that they are found: 64 bytes in each session, a descriptor in one of 100."""


def main(arguments: list[str] | None = None) -> int:
    """Run a soak and tell what became of it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Very many short sessions, and whether anything grows.",
    )
    parser.add_argument("--sessions", type=int, default=2_000_000)
    parser.add_argument("--kinds", default=",".join(KINDS), help="out of " + ", ".join(KINDS))
    parser.add_argument("--limit", type=int, default=50, help="sessions at once")
    parser.add_argument("--plant", choices=PLANTS, help="a leak, to see that it is found")
    options = parser.parse_args(arguments)
    logging.getLogger("holdfast").setLevel(logging.ERROR)
    kinds = options.kinds.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"there is no kind {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    begun = time.monotonic()
    verdict = Soak(
        options.sessions,
        kinds,
        limit=options.limit,
        plant=PLANTS.get(options.plant),
        show=_say,
    ).run()
    seconds = time.monotonic() - begun
    _say(f"\n{verdict.sessions:,} sessions in {seconds:.0f} s: {dict(verdict.outcomes)}")
    for name, slope in verdict.slopes.items():
        _say(
            f"{name:<10} {slope.per_million:>14,.1f} +- {slope.error:,.1f} for each million "
            f"(bar {BARS[name]:,.0f}), z = {slope.z:+.1f}"
        )
    for fault in verdict.faults:
        _say(f"FAULT: {fault}")
    _say(f"{len(verdict.left)} left at the end, {len(verdict.faults)} faults")
    return 1 if verdict.faults else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
