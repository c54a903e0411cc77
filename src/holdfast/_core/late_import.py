"""Names that are imported when they are asked for, also when no descriptor is left to open a file.

Purpose: `import holdfast` stays light, and what explains "Too many open files" can still be imported
when that error comes. Guarantees: the soft limit of descriptors is what it was before, unless another
thread has changed it meanwhile; where the limit can't be raised for the moment, the error says how to
do without.
"""

import errno
import sys
from contextlib import suppress
from importlib import import_module

# Imported now: the interpreter opens a file for it, and later it may have no descriptor to do so.
if sys.platform != "win32":
    import resource

__all__ = ("import_late",)

# Importing a module opens one file at a time, and perhaps lists a folder.
_ROOM = 8


def import_late(module: str, name: str) -> object:
    """Return ``name`` of ``module``, which is imported if it is not yet.

    Raises:
        OSError: No descriptor is left to import it with, and the limit can't be raised; a note says
            what to do.
    """
    try:
        return getattr(import_module(module), name)
    except OSError as error:
        if error.errno != errno.EMFILE or sys.platform == "win32":
            raise
        refused = error
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft + _ROOM, hard))
    except (OSError, ValueError):
        refused.add_note(f"Import it at the start of the program: `from holdfast import {name}`.")
        raise refused from None
    try:
        return getattr(import_module(module), name)
    finally:
        with suppress(OSError, ValueError):
            if resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft + _ROOM:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
