"""What looks at the process while it runs: monitor, trends, snapshot; and the governor, who acts on it.

Each name is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.watch.decisions import Decision
    from holdfast.watch.governor import Governor, Weight
    from holdfast.watch.history import History, Point
    from holdfast.watch.monitor import Change, Monitor
    from holdfast.watch.snapshot import MonitorStats, PoolReading, Snapshot
    from holdfast.watch.thresholds import Gauge, Level, Threshold
    from holdfast.watch.trend import Living, Trend
    from holdfast.watch.verdict import Evidence, Growth, Verdict

__all__ = (
    "Change",
    "Decision",
    "Evidence",
    "Gauge",
    "Governor",
    "Growth",
    "History",
    "Level",
    "Living",
    "Monitor",
    "MonitorStats",
    "Point",
    "PoolReading",
    "Snapshot",
    "Threshold",
    "Trend",
    "Verdict",
    "Weight",
)

# The module of this package that each name lives in.
_HOMES = {
    "Change": "monitor",
    "Decision": "decisions",
    "Evidence": "verdict",
    "Gauge": "thresholds",
    "Governor": "governor",
    "Growth": "verdict",
    "History": "history",
    "Level": "thresholds",
    "Living": "trend",
    "Monitor": "monitor",
    "MonitorStats": "snapshot",
    "Point": "history",
    "PoolReading": "snapshot",
    "Snapshot": "snapshot",
    "Threshold": "thresholds",
    "Trend": "trend",
    "Verdict": "verdict",
    "Weight": "governor",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
