"""How a program is to be guarded; it goes to the guarded process through its environment."""

import json
from dataclasses import asdict, dataclass

__all__ = ("VARIABLE", "GuardOptions")

VARIABLE = "HOLDFAST_RUN"
"""The environment variable that holds the options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardOptions:
    """The options of ``holdfast run``.

    Attributes:
        observe: Change nothing, only watch.
        children: Guard the Python programs that it starts, too.
        lines: Note who opened what.
        keep_fd_limit: Do not raise the limit on descriptors.
        report: Where reports go, without the ending; ``%p`` is the process. Empty: only where something
            was found, into the working folder.
        log: A file for what the monitor says; empty is standard error.
        interval: Seconds between two samples; pools are looked at twice as often.
        threads: The budget of threads; 0 is what the machine gives.
        folder: The folder that was put in front of ``PYTHONPATH``.
        path: ``PYTHONPATH`` as it was; None if there was none.
    """

    observe: bool = False
    children: bool = False
    lines: bool = True
    keep_fd_limit: bool = False
    report: str = ""
    log: str = ""
    interval: float = 1.0
    threads: int = 0
    folder: str = ""
    path: str | None = None

    def to_text(self) -> str:
        """Return it for the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "GuardOptions":
        """Return what :meth:`to_text` was called on.

        Raises:
            ValueError: It is nothing of that kind.
            TypeError: Likewise.
        """
        return cls(**json.loads(text))
