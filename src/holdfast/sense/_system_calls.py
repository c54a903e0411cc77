"""What a thread waits in, by the number of its system call.

The numbers are those of Linux on 64 bits; source: ``syscall_64.tbl`` and ``asm-generic/unistd.h``.
"""

import os
from collections.abc import Mapping
from typing import Final

from holdfast.sense._words import nth, whole

__all__ = ("waits_in",)

_X86_64: Final = {
    0: "a read",
    7: "events",
    17: "a read",
    23: "events",
    35: "a sleep",
    43: "accept",
    45: "a read",
    47: "a read",
    61: "a child",
    202: "a lock",
    230: "a sleep",
    232: "events",
    247: "a child",
    270: "events",
    271: "events",
    281: "events",
    288: "accept",
    449: "a lock",
}
_GENERIC: Final = {
    22: "events",
    63: "a read",
    67: "a read",
    72: "events",
    73: "events",
    95: "a child",
    98: "a lock",
    101: "a sleep",
    115: "a sleep",
    202: "accept",
    207: "a read",
    212: "a read",
    242: "accept",
    260: "a child",
    449: "a lock",
}
_TABLES: Final[Mapping[str, Mapping[int, str]]] = {
    "x86_64": _X86_64,
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
}


def waits_in(text: str, machine: str | None = None) -> str:
    """Say what the line of ``/proc/PID/task/TID/syscall`` means; nothing if it tells nothing.

    Args:
        text: The line: the number first; ``running`` or ``-1`` for none.
        machine: The kind of the machine, as ``uname`` says it; None asks.
    """
    number = whole(nth(text.split(maxsplit=1), 0))
    if number is None or number < 0:
        return ""
    if machine is None:
        machine = os.uname().machine if hasattr(os, "uname") else ""
    known = _TABLES.get(machine, {})
    return known.get(number, f"system call {number}")
