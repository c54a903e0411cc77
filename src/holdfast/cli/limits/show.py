"""Shows the limits: a row for each, the tightest named at the end."""

from typing import Final

from holdfast.cli.screen import screen
from holdfast.cli.sections import Bar, Row, Section
from holdfast.sense.reading import Reading
from holdfast.watch._words import counted, figure, size
from holdfast.watch.capacity import Capacity, Need, Room

__all__ = ("show",)

_TITLES: Final = {
    "threads": "Threads",
    "processes": "Processes (each is a thread to the kernel as well)",
    "descriptors": "Descriptors",
    "memory": "Memory",
    "cpus": "CPUs",
}
_REST: Final = "Further"


def show(found: Capacity) -> None:
    """Print every limit, grouped, and for how many agents the tightest one has room."""
    paper = screen()
    paper.headline(
        "Limits of this process and those that it starts: held, most, room for so many agents"
    )
    paper.sections(_sections(found))
    paper.findings((), _verdict(found))


def _sections(found: Capacity) -> list[Section]:
    groups: dict[str, list[Row]] = {title: [] for title in (*_TITLES.values(), _REST)}
    for each in found.rooms:
        title = _TITLES.get(each.reading.name, _REST)
        groups[title].append(_row(each, named=title == _REST))
    return [Section(title, tuple(rows), right=(1, 2)) for title, rows in groups.items() if rows]


def _row(room: Room, *, named: bool) -> Row:
    reading = room.reading
    source = _source(reading)
    agents = "" if room.agents is None else counted(room.agents, "agent")
    held = figure(reading.value, reading.unit) if reading.value is not None else ""
    bound = figure(reading.bound, reading.unit)
    return (
        f"{source}: {reading.name}" if named else source,
        held,
        bound,
        Bar(reading.used),
        agents,
    )


def _source(reading: Reading) -> str:
    return (
        reading.source
        if reading.scope in {"process", "machine"}
        else f"{reading.source}, {reading.scope}"
    )


def _verdict(found: Capacity) -> str:
    first, need = found.tightest, found.need
    taken = _need(need)
    if first is None or first.agents is None:
        return f"no limit stands in the way of agents with {taken}"
    return (
        f"room for {counted(first.agents, 'more agent')} at work, by {_source(first.reading)}"
        f" ({first.reading.name}); one is taken to hold at most {taken}"
    )


def _need(need: Need) -> str:
    return ", ".join(
        (
            counted(need.threads, "thread"),
            counted(need.processes, "subprocess", "subprocesses"),
            counted(need.descriptors, "descriptor"),
            size(need.memory_bytes),
        )
    )
