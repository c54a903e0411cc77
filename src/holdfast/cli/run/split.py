"""Where the options of ``holdfast run`` end, and the program begins."""

from collections.abc import Collection, Sequence

__all__ = ("split",)


def split(args: Sequence[str], with_value: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the arguments that are ours, and those of the program.

    The program begins at the first argument that is no option, at ``-m``, or at ``--``; whatever comes
    after that is its own, and may look like options of ours.

    Args:
        args: All of them.
        with_value: Our options that take the next argument as their value.
    """
    at = 0
    while at < len(args):
        each = args[at]
        if each in {"-m", "--"} or not each.startswith("-"):
            break
        at += 2 if each in with_value else 1
    return list(args[:at]), list(args[at:])
