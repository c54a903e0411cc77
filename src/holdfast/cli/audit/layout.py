"""What an audit shows: the process, its limits, what it holds by kind, and who holds it."""

from holdfast.cli.finding_lines import verdict as of_findings
from holdfast.cli.sections import Section, bounded, counts
from holdfast.sense.process_tree import ProcessState
from holdfast.sense.sockets import Socket
from holdfast.watch._audit_record import deleted_bytes
from holdfast.watch._findings_files import extension
from holdfast.watch._findings_tasks import role
from holdfast.watch._words import counted, size, tallied
from holdfast.watch.audit import Audit, Tree
from holdfast.watch.look import Look

__all__ = ("headline", "sections", "tree_section", "verdict")

_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "waiting for a disk",
    "T": "stopped",
    "t": "traced",
    "Z": "ended",
    "I": "idle",
}
_LONGEST_COMMAND = 70


def headline(look: Look) -> str:
    """Say which process it is."""
    process = look.process
    state = _STATES.get(process.state, process.state or "state unknown")
    return f"process {process.pid}, {state}: {_short(process.command or process.name)}"


def sections(audit: Audit) -> list[Section]:
    """Show everything that was seen but the findings; what there is none of is left out."""
    look = audit.look
    found = [
        bounded(tuple(look.bounds), "Limits"),
        _memory(look),
        counts("Descriptors by kind", tallied(each.kind for each in look.descriptors)),
        counts("Sockets", _sockets(look)),
        counts("Files by extension", _extensions(look), 8),
        counts("Files by path", tallied(_of_kind(look, "file")), 5),
        counts(_deleted_title(look), tallied(map(role, _of_kind(look, "deleted file"))), 5),
        counts("Threads by name", tallied(role(each.name) for each in look.threads)),
        counts("Threads by state", _states(look)),
        counts("Children", tallied(_child(each) for each in look.children)),
    ]
    return [each for each in found if each.rows]


def tree_section(tree: Tree) -> Section:
    """Show the processes of a tree, one in a row."""
    rows = tuple(
        (
            f"{each.look.process.pid}",
            f"{len(each.look.descriptors):,}",
            f"{len(each.look.threads):,}",
            size(each.look.resident.value or 0),
            "healthy" if each.healthy else counted(_bad(each), "finding"),
            f"{'  ' * level}{_short(each.look.process.command or each.look.process.name)}",
        )
        for each, level in zip(tree.audits, _levels(tree), strict=True)
    )
    heading = ("pid", "descriptors", "threads", "memory", "", "command")
    return Section("Processes", (heading, *rows), right=(0, 1, 2, 3))


def verdict(audits: tuple[Audit, ...]) -> str:
    """Say in one line how it stands."""
    return of_findings(found for each in audits for found in each.findings)


def _bad(audit: Audit) -> int:
    return sum(each.severity != "note" for each in audit.findings)


def _levels(tree: Tree) -> list[int]:
    """How deep each stands below the first."""
    found: dict[int, int] = {}
    for each in tree.audits:
        process = each.look.process
        found[process.pid] = found.get(process.parent or 0, -1) + 1
    return list(found.values())


def _memory(look: Look) -> Section:
    """The bounds tell of the tightest limit; here are the others that are shared."""
    tightest = look.bounds.memory
    shown = [look.resident, look.proportional]
    shown += [
        each
        for each in look.memory
        if each.bound
        and (each.name, each.source, each.bound) != ("memory", tightest.source, tightest.bound)
    ]
    return bounded(tuple(each for each in shown if each.value is not None), "Memory")


def _sockets(look: Look) -> dict[str, int]:
    found = [each.socket for each in look.descriptors if each.socket is not None]
    return tallied(map(_socket, found))


def _socket(it: Socket) -> str:
    if it.family == "other":
        return "without an address: not connected yet, or not any more"
    address = f"to {it.peer}" if it.peer else f"at {it.local}" if it.local else ""
    return " ".join(word for word in (it.family, it.state, address) if word)


def _extensions(look: Look) -> dict[str, int]:
    return tallied(map(extension, _of_kind(look, "file")))


def _of_kind(look: Look, kind: str) -> list[str]:
    return [each.target for each in look.descriptors if each.kind == kind]


def _deleted_title(look: Look) -> str:
    return f"Deleted files held open ({size(deleted_bytes(look))})"


def _states(look: Look) -> dict[str, int]:
    return tallied(
        f"{_STATES.get(each.state, 'state unknown')}{f' in {each.waits_in}' if each.waits_in else ''}"
        for each in look.threads
    )


def _child(child: ProcessState) -> str:
    if child.state == "Z":
        return f"{child.name} (ended, and not waited for)"
    return _short(child.command or child.name)


def _short(command: str) -> str:
    command = " ".join(command.split())
    return command if len(command) <= _LONGEST_COMMAND else f"{command[: _LONGEST_COMMAND - 1]}…"
