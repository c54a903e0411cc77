"""An audit as what JSON can hold."""

from collections.abc import Iterable, Sequence
from typing import Any

from holdfast.sense.process_tree import ProcessState
from holdfast.sense.reading import Reading
from holdfast.watch._findings_files import extension
from holdfast.watch._findings_tasks import role
from holdfast.watch._words import tallied
from holdfast.watch.finding import Finding
from holdfast.watch.look import Look

__all__ = ("VERSION", "deleted_bytes", "reading_record", "record")

VERSION = 1


def record(look: Look, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the whole of it; a count stands with each name.

    Args:
        look: What was seen.
        findings: What it means.
    """
    return {
        "version": VERSION,
        "process": _process(look.process),
        "confirmed": look.lasting is not None,
        "bounds": [reading_record(each) for each in look.bounds],
        "memory": [
            reading_record(each) for each in (look.resident, look.proportional, *look.memory)
        ],
        "descriptors": _descriptors(look),
        "threads": {
            "total": len(look.threads),
            "by_name": tallied(role(each.name) for each in look.threads),
            "by_state": tallied(each.state or "?" for each in look.threads),
            "waits_in": tallied(each.waits_in for each in look.threads if each.waits_in),
        },
        "children": [_process(each) for each in look.children],
        "findings": [each.to_dict() for each in findings],
    }


def reading_record(reading: Reading) -> dict[str, Any]:
    """Return one reading with what is left of it."""
    return {name: getattr(reading, name) for name in reading.__slots__} | {"left": reading.left}


def _descriptors(look: Look) -> dict[str, Any]:
    files = [each.target for each in look.descriptors if each.kind == "file"]
    sockets = [each.socket for each in look.descriptors if each.socket is not None]
    return {
        "total": len(look.descriptors),
        "by_kind": tallied(each.kind for each in look.descriptors),
        "sockets": _sockets((it.family, it.state, it.peer or it.local) for it in sockets),
        "files_by_extension": tallied(extension(path) for path in files),
        "files_by_path": tallied(files),
        "deleted_files": tallied(
            each.target for each in look.descriptors if each.kind == "deleted file"
        ),
        "deleted_bytes": deleted_bytes(look),
        "pipes": len({each.target for each in look.descriptors if each.kind == "pipe"}),
    }


def deleted_bytes(look: Look) -> int:
    """Return what the disk gets back when the deleted files are closed."""
    sizes = {each.target: each.size_bytes or 0 for each in look.descriptors}
    return sum(sizes.values())


def _sockets(found: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    counts: dict[tuple[str, str, str], int] = {}
    for each in found:
        counts[each] = counts.get(each, 0) + 1
    return [
        {"family": family, "state": state, "address": address, "count": count}
        for (family, state, address), count in sorted(counts.items(), key=lambda it: -it[1])
    ]


def _process(process: ProcessState) -> dict[str, Any]:
    return {name: getattr(process, name) for name in process.__slots__}
