"""``python -m holdfast``, and what the ``holdfast`` command calls."""

import sys
from importlib.util import find_spec

__all__ = ("main",)


def main() -> None:
    """Run the command line, and end the process with its exit code.

    Without the extra ``cli`` one sentence says how to get it, and the exit code is 2.
    """
    if any(find_spec(needed) is None for needed in ("click", "rich")):
        sys.stderr.write(
            "holdfast: the command line needs two more packages; "
            "`pip install 'holdfast[cli]'` brings them.\n"
        )
        sys.exit(2)
    from holdfast.cli.main import run  # noqa: PLC0415 - needs click, which was only now found

    run()


if __name__ == "__main__":
    main()
