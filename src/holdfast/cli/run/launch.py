"""The interpreter is replaced by one that runs the program, with a hook that puts the guard in place.

The program is run by Python itself, from the very command line that would run it without us: ``__main__``,
``sys.argv``, ``sys.path``, tracebacks, exit codes, signals, the process's number, pickling and
multiprocessing are those of a plain run. The hook is a ``sitecustomize`` in a folder of its own, put in
front of ``PYTHONPATH``; it takes itself out of both again.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn

from holdfast.adapters.guard.options import VARIABLE, GuardOptions

__all__ = ("HOOK_FOLDER", "command_of", "environment_of", "launch")

HOOK_FOLDER: Final = str(Path(__file__).parent / "startup")
_KEPT_FLAGS: Final = frozenset({"-O", "-OO", "-u", "-B", "-b", "-bb", "-d", "-v", "-q"})


def command_of(program: Sequence[str]) -> list[str]:
    """Return the command line that runs the program.

    Args:
        program: ``script.py ...``, ``-m module ...`` or ``-- command ...``.
    """
    if program[0] == "--":
        return list(program[1:])
    return [sys.executable, *_interpreter_flags(), *program]


def environment_of(options: GuardOptions, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which Python puts the guard in place."""
    path = environ.get("PYTHONPATH")
    found = replace(options, folder=HOOK_FOLDER, path=path)
    return {
        **environ,
        "PYTHONPATH": HOOK_FOLDER if not path else f"{HOOK_FOLDER}{os.pathsep}{path}",
        VARIABLE: found.to_text(),
    }


def launch(options: GuardOptions, program: Sequence[str]) -> NoReturn:
    """Run the program in place of this one.

    Raises:
        OSError: It can't be run; this program goes on.
    """
    command = command_of(program)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe(command[0], command, environment_of(options, os.environ))  # noqa: S606 - what the user asked for


def _interpreter_flags() -> list[str]:
    """Those that this interpreter was given, so that ``python -X dev -m holdfast run`` means it."""
    flags: list[str] = []
    given = iter(sys.orig_argv[1:])
    for each in given:
        if each in {"-X", "-W"}:
            flags += [each, next(given, "")]
        elif each.startswith(("-X", "-W")) or each in _KEPT_FLAGS:
            flags.append(each)
        else:
            break
    return flags
