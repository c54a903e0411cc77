"""What a watch can fail on."""

from typing import Final, Literal

from holdfast.watch.process_watch import ProcessReading
from holdfast.watch.thresholds import LEVELS

__all__ = ("RULES", "Rule", "broken")

Rule = Literal["leak", "growth", "caution", "critical"]

RULES: Final[tuple[Rule, ...]] = ("leak", "growth", "caution", "critical")
_COUNTED: Final = ("descriptors", "threads")


def broken(rule: Rule, reading: ProcessReading) -> str:
    """Say how a reading breaks a rule; empty if it does not.

    A leak is what descriptors or threads grow by, as those are told by the age of each. Growth is that of
    memory too, of which there are counts alone. Levels are those of what has a limit: that the machine is
    under pressure is not the process's fault.
    """
    if rule in {"leak", "growth"}:
        for verdict in reading.trends:
            if verdict.growing and (rule == "growth" or verdict.name in _COUNTED):
                return str(verdict)
        return ""
    least = LEVELS.index("critical" if rule == "critical" else "caution")
    for each in reading.bounds:
        level = reading.levels.get(each.name, "ok")
        if LEVELS.index(level) >= least:
            return f"{each.name}: {level}, {each.value:,.0f} of {each.bound:,.0f} ({each.source})"
    return ""
