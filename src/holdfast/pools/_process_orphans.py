"""What is done when a zygote was killed by somebody: its workers are gone, what they started is not."""

from collections.abc import Iterable
from signal import SIGKILL

from holdfast._core import clock
from holdfast._core.process_tree import table as processes
from holdfast._core.process_tree.signals import send_all

__all__ = ("end_sessions",)


def end_sessions(leaders: Iterable[int]) -> None:
    """Kill what is left in the sessions of these processes, which have ended.

    A session's number is nobody else's while somebody is in it. What has left its session, and lost its
    worker just now, is not found.
    """
    if not processes.HAS_TABLE:
        return
    table = processes.table_since(clock.SystemClock.now())
    for leader in leaders:
        send_all([proc for proc in table.sessions[leader] if not proc.ended], SIGKILL)
