"""What was seen lately, for sparklines and rates: bounded, and forgotten with the screen."""

from collections import deque
from typing import Any, Final

from holdfast.cli.top.source import Found

__all__ = ("KEPT", "Tracks")

KEPT: Final = 120
_MOST: Final = 500


class Tracks:
    """The last values of each series, by name."""

    def __init__(self) -> None:
        self._series: dict[str, deque[float]] = {}
        self._ended: dict[str, tuple[float, int]] = {}
        self._cpu: tuple[float, float] | None = None
        self.rates: dict[str, float] = {}
        self.cpus: float | None = None

    def add(self, found: Found) -> None:
        """Take in one look."""
        figures = found.figures
        for name, value in (
            ("descriptors", figures["fds"]),
            ("threads", figures["threads"]),
            ("memory", figures["rss_bytes"]),
            ("cpus", self._busy(found.at, figures["cpu_s"])),
        ):
            self._append(name, value)
        for pool in figures.get("pools", ()):
            stats = pool["stats"]
            name = f"pool {stats['name']}"
            self._append(name, stats["in_flight"])
            self._rate(name, found.at, stats["completed"] + stats["failed"])

    def of(self, name: str, most: int) -> list[float]:
        """The last values of a series, the oldest first."""
        return list(self._series.get(name, ()))[-most:]

    def _append(self, name: str, value: Any) -> None:
        if value is not None and (name in self._series or len(self._series) < _MOST):
            self._series.setdefault(name, deque(maxlen=KEPT)).append(float(value))

    def _busy(self, at: float, cpu_s: float) -> float | None:
        before, self._cpu = self._cpu, (at, cpu_s)
        if before is not None and at > before[0]:
            self.cpus = max(0.0, (cpu_s - before[1]) / (at - before[0]))
        return self.cpus

    def _rate(self, name: str, at: float, ended: int) -> None:
        before, self._ended[name] = self._ended.get(name), (at, ended)
        if before is not None and at > before[0]:
            self.rates[name] = max(0, ended - before[1]) / (at - before[0])
