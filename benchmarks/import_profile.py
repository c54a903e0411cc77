"""What an import spends its time on: ``-X importtime``, read back."""

import subprocess
import sys
from dataclasses import dataclass

__all__ = ("Loaded", "newly_loaded", "parse")


@dataclass(frozen=True, slots=True)
class Loaded:
    """One module: the time for itself, without what it imports."""

    name: str
    self_s: float


def parse(report: str) -> list[Loaded]:
    """Read the report of ``-X importtime``: ``import time: self [us] | cumulative | package``."""
    found: list[Loaded] = []
    for line in report.splitlines():
        head, _, rest = line.partition("import time:")
        fields = rest.split("|")
        if head or len(fields) != 3 or not fields[0].strip().isdecimal():
            continue
        found.append(Loaded(fields[2].strip(), int(fields[0]) * 1e-6))
    return found


def newly_loaded(module: str, *, after: str) -> list[Loaded]:
    """What ``import module`` loads that ``import after`` has not, the slowest first."""
    found = parse(_report(f"import {after}; import {module}"))
    names = [loaded.name for loaded in found]
    start = names.index(after) + 1  # a module's line stands behind those of what it imports
    return sorted(found[start:], key=lambda loaded: loaded.self_s, reverse=True)


def _report(code: str) -> str:
    ended = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-I", "-X", "importtime", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stderr
