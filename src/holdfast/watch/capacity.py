"""How many agents each limit leaves room for: arithmetic on readings."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from holdfast._core import check
from holdfast.sense.cpus import cpu_bound
from holdfast.sense.kernel_limits import kernel_readings
from holdfast.sense.overview import readings
from holdfast.sense.reading import Reading
from holdfast.watch._audit_record import reading_record

__all__ = ("AGENT", "Capacity", "Need", "Room", "capacity", "rooms")

_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Need:
    """What one agent at work holds at most.

    Args:
        threads: Blocking calls of it that run at once, 0 or more.
        processes: Subprocesses of it that run at once, 0 or more.
        descriptors: Connections, files, ends of pipes, 0 or more.
        memory_bytes: Its messages and results, 0 or more.
    """

    threads: int = 1
    processes: int = 1
    descriptors: int = 6
    memory_bytes: int = 16 * _MB

    def __post_init__(self) -> None:
        for name in self.__slots__:
            check.count(name, getattr(self, name))

    def of(self, name: str) -> int:
        """Return how much of what a reading counts one agent takes; 0 for what it does not take.

        Args:
            name: The name of the reading, such as ``"descriptors"``.
        """
        tasks = self.threads + self.processes
        return {
            "threads": tasks,  # the kernel counts both against the same limits
            "processes": tasks if self.processes else 0,
            "descriptors": self.descriptors,
            "memory": self.memory_bytes,
            "memory and swap": self.memory_bytes,
            "committed memory": self.memory_bytes,
            "ports": 1,
        }.get(name, 0)


AGENT: Final = Need()
"""One connection to the model, a database with its two files beside it, a tool with two pipes."""


@dataclass(frozen=True, slots=True)
class Room:
    """One limit, and for how many agents it has room.

    Attributes:
        reading: The limit, with what is held of it.
        agents: How many more agents at work it allows; None for a limit that agents do not fill.
    """

    reading: Reading
    agents: int | None


@dataclass(frozen=True, slots=True)
class Capacity:
    """Every limit that matters, and what follows.

    Attributes:
        rooms: The limits in the order of their names, each with its room.
        need: What one agent was taken to hold.
        cpus: How many CPUs may be used.
    """

    rooms: tuple[Room, ...]
    need: Need
    cpus: float | None

    @property
    def tightest(self) -> Room | None:
        """The limit that is met first; None if no limit has a room."""
        known = [each for each in self.rooms if each.agents is not None]
        return min(known, key=lambda each: each.agents or 0, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        first = self.tightest
        return {
            "version": 1,
            "limits": [
                reading_record(each.reading) | {"agents": each.agents} for each in self.rooms
            ],
            "agent": {name: getattr(self.need, name) for name in self.need.__slots__},
            "agents": None if first is None else first.agents,
            "tightest": None if first is None else first.reading.source,
            "cpus": self.cpus,
        }


def capacity(need: Need = AGENT) -> Capacity:
    """Read every limit on this process, and say for how many agents each has room.

    A process that this one would start has the same limits, unless whoever starts it changes them. May
    be called from any thread; some milliseconds.

    Args:
        need: What one agent at work holds at most.
    """
    found = [*readings(), *kernel_readings()]
    return Capacity(rooms(found, need), need, cpu_bound().bound)


def rooms(found: Iterable[Reading], need: Need) -> tuple[Room, ...]:
    """Return the limits among some readings, each with its room. Pure.

    Args:
        found: Readings; those without a bound, and those of pressure, are left out.
        need: What one agent at work holds at most.
    """
    limits = [each for each in found if each.bound and "pressure" not in each.name]
    return tuple(Room(each, _agents(each, need)) for each in limits)


def _agents(reading: Reading, need: Need) -> int | None:
    each = need.of(reading.name)
    if not each or reading.bound is None or reading.source == "hard RLIMIT_NOFILE":
        return None
    left = reading.bound if reading.left is None else reading.left
    return int(left // each)
