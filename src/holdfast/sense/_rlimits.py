"""The limits that a process was given: ``getrlimit``, and ``/proc/PID/limits`` for any process."""

import re
import sys
from dataclasses import dataclass

from holdfast.sense._process import Process
from holdfast.sense._words import whole

if sys.platform != "win32":
    import resource

__all__ = ("Rlimit", "own_rlimit", "parse_rlimits", "rlimit")

# What /proc/PID/limits calls them.
LABELS = {
    "RLIMIT_AS": "Max address space",
    "RLIMIT_NOFILE": "Max open files",
    "RLIMIT_NPROC": "Max processes",
    "RLIMIT_STACK": "Max stack size",
}

_LINE = re.compile(r"^(Max [a-z ]*[a-z]) {2,}(\S+) +(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rlimit:
    """A pair of limits; None is no limit.

    Attributes:
        soft: What binds now; the process may raise it to ``hard``.
        hard: As far as ``soft`` can be raised without privilege.
    """

    soft: int | None
    hard: int | None


def rlimit(process: Process, name: str) -> Rlimit | None:
    """Return a limit of ``process``, or None where nobody tells.

    Args:
        process: Who is read.
        name: Such as ``"RLIMIT_NOFILE"``.

    Raises:
        OSError: The process is another one and can't be read.
    """
    if process.own and process.real and (known := own_rlimit(name)) is not None:
        return known  # without a file to read
    if process.linux:
        try:
            found = parse_rlimits(process.read("limits")).get(LABELS[name])
        except OSError:
            if not process.own:
                raise
        else:
            return found
    return own_rlimit(name) if process.own else None


def own_rlimit(name: str) -> Rlimit | None:
    """Return a limit of this process, or None where the platform has none of that name."""
    if sys.platform == "win32" or not hasattr(resource, name):
        return None
    soft, hard = resource.getrlimit(getattr(resource, name))
    return Rlimit(_finite(soft), _finite(hard))


def parse_rlimits(text: str) -> dict[str, Rlimit]:
    """Return the lines of ``/proc/PID/limits`` by their label; what is no such line is left out."""
    found: dict[str, Rlimit] = {}
    for label, soft, hard in _LINE.findall(text):
        pair = [None if word == "unlimited" else whole(word) for word in (soft, hard)]
        if all(
            value is not None or word == "unlimited"
            for value, word in zip(pair, (soft, hard), strict=True)
        ):
            found[label] = Rlimit(*pair)
    return found


def _finite(limit: int) -> int | None:
    return None if sys.platform == "win32" or limit == resource.RLIM_INFINITY else limit
