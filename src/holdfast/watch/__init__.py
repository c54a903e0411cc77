"""What looks at the process while it runs: monitor, trends, snapshot.

Each name is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.watch.asking import NotServed, ask
    from holdfast.watch.history import History, Point
    from holdfast.watch.monitor import Change, Monitor
    from holdfast.watch.process_watch import ProcessReading, ProcessWatch
    from holdfast.watch.serving import Serving, serve
    from holdfast.watch.snapshot import MonitorStats, PoolReading, Snapshot
    from holdfast.watch.stacks import stacks
    from holdfast.watch.thresholds import Gauge, Level, Threshold
    from holdfast.watch.trend import Living, Trend
    from holdfast.watch.verdict import Evidence, Growth, Verdict

__all__ = (
    "Change",
    "Evidence",
    "Gauge",
    "Growth",
    "History",
    "Level",
    "Living",
    "Monitor",
    "MonitorStats",
    "NotServed",
    "Point",
    "PoolReading",
    "ProcessReading",
    "ProcessWatch",
    "Serving",
    "Snapshot",
    "Threshold",
    "Trend",
    "Verdict",
    "ask",
    "serve",
    "stacks",
)

# The module of this package that each name lives in.
_HOMES = {
    "stacks": "stacks",
    "serve": "serving",
    "ask": "asking",
    "Serving": "serving",
    "ProcessWatch": "process_watch",
    "ProcessReading": "process_watch",
    "NotServed": "asking",
    "Change": "monitor",
    "Evidence": "verdict",
    "Gauge": "thresholds",
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
