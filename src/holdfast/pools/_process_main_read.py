"""What happens when a worker reads the main program and comes by the making of its own pool."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ("refuse_while_main_is_read",)


def refuse_while_main_is_read() -> None:
    """A worker that reads the main program must not make the pool that the program makes."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - who asks makes the difference
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__mp_main__":
            msg = (
                "a worker process reads the main program, to find a function that is defined there, and "
                "the program makes a ProcessPool as it is read: put what the program does under "
                '`if __name__ == "__main__":`, or move the function to a module'
            )
            raise RuntimeError(msg)
        frame = frame.f_back
