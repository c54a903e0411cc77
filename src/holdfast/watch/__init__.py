"""What looks at the process: monitor, trends, snapshot; one look, and what it means; and who acts on it.

Each name is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.watch.asking import NotServed, ask
    from holdfast.watch.audit import Audit, Tree, Unseen
    from holdfast.watch.capacity import Capacity, Need, Room
    from holdfast.watch.decisions import Decision
    from holdfast.watch.explain import Explanation
    from holdfast.watch.finding import Finding, Severity
    from holdfast.watch.governor import Governor, Weight
    from holdfast.watch.history import History, Point
    from holdfast.watch.look import Look
    from holdfast.watch.monitor import Change, Monitor
    from holdfast.watch.process_watch import ProcessReading, ProcessWatch
    from holdfast.watch.serving import Serving, serve
    from holdfast.watch.snapshot import MonitorStats, PoolReading, Snapshot
    from holdfast.watch.thresholds import Gauge, Level, Threshold
    from holdfast.watch.trend import Living, Trend
    from holdfast.watch.verdict import Evidence, Growth, Verdict

__all__ = (
    "Audit",
    "Capacity",
    "Change",
    "Decision",
    "Evidence",
    "Explanation",
    "Finding",
    "Gauge",
    "Governor",
    "Growth",
    "History",
    "Level",
    "Living",
    "Look",
    "Monitor",
    "MonitorStats",
    "Need",
    "NotServed",
    "Point",
    "PoolReading",
    "ProcessReading",
    "ProcessWatch",
    "Room",
    "Serving",
    "Severity",
    "Snapshot",
    "Threshold",
    "Tree",
    "Trend",
    "Unseen",
    "Verdict",
    "Weight",
    "ask",
    "serve",
)

# The module of this package that each name lives in.
_HOMES = {
    "Audit": "audit",
    "Capacity": "capacity",
    "Change": "monitor",
    "Decision": "decisions",
    "Evidence": "verdict",
    "Explanation": "explain",
    "Finding": "finding",
    "Gauge": "thresholds",
    "Governor": "governor",
    "Growth": "verdict",
    "History": "history",
    "Level": "thresholds",
    "Living": "trend",
    "Look": "look",
    "Monitor": "monitor",
    "MonitorStats": "snapshot",
    "Need": "capacity",
    "NotServed": "asking",
    "Point": "history",
    "PoolReading": "snapshot",
    "ProcessReading": "process_watch",
    "ProcessWatch": "process_watch",
    "Room": "capacity",
    "Serving": "serving",
    "Severity": "finding",
    "Snapshot": "snapshot",
    "Threshold": "thresholds",
    "Tree": "audit",
    "Trend": "trend",
    "Unseen": "audit",
    "Verdict": "verdict",
    "Weight": "governor",
    "ask": "asking",
    "serve": "serving",
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
