"""Called in the guarded process, before its first line."""

import os
import sys

from holdfast.adapters.guard.options import VARIABLE, GuardOptions

__all__ = ("begin",)


def begin() -> None:
    """Put the guard in place as the environment says; whatever goes wrong, the program runs."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return
    try:
        options = GuardOptions.from_text(text)
        if not options.children:
            _restore(options)
        from holdfast.adapters.guard.guard import Guard  # noqa: PLC0415 - what it imports may fail, too

        Guard(options).start()
    except Exception as error:  # noqa: BLE001 - a program that can't be guarded runs all the same
        sys.stderr.write(f"holdfast: the program runs without a guard: {error!r}\n")


def _restore(options: GuardOptions) -> None:
    """Make the environment what it was, so that nothing that the program starts is guarded."""
    os.environ.pop(VARIABLE, None)
    if options.path is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = options.path
