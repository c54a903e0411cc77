"""What the user asked for, checked and in one record."""

from dataclasses import dataclass

from holdfast.limits.rate import Rate

__all__ = ("MapOptions",)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """All that ``holdfast map`` was called with.

    Attributes:
        target: ``module:function`` or ``path/file.py:function``.
        source: Path of INPUT, or ``-`` for standard input.
        output: Path of OUTPUT, or ``-`` for standard output.
        raw: Whether a line is passed on as text instead of decoded JSON.
        key: Field (dotted path) that names an item; None for line number and hash.
        skip_bad: Whether a line that can't be read becomes an error line instead of the end.
        resume: Whether OUTPUT's lines count as done.
        retry_failed: Whether what failed in OUTPUT is run again.
        idempotent: Path of the file that knows what has begun, or None.
        on_unfinished: What becomes of items that had begun and have no outcome: ``fail``, ``repeat``
            or ``skip``.
        overwrite: Whether an OUTPUT that holds something is emptied first.
        fsync: Whether each line is forced to the disk.
        ordered: Whether lines come in input order.
        limit: Most items in flight at once, from 1.
        timeout: Seconds per attempt, or None.
        retries: Attempts after the first, from 0.
        rate: Most starts per time, or None.
        max_failures: Failures after which the run stops, or None.
        grace: Seconds that what is in flight gets after a signal, from 0.
        json: Whether a summary as JSON goes to standard output.
    """

    target: str
    source: str
    output: str
    raw: bool = False
    key: str | None = None
    skip_bad: bool = False
    resume: bool = False
    retry_failed: bool = False
    idempotent: str | None = None
    on_unfinished: str = "fail"
    overwrite: bool = False
    fsync: bool = False
    ordered: bool = False
    limit: int = 20
    timeout: float | None = None
    retries: int = 0
    rate: Rate | None = None
    max_failures: int | None = None
    grace: float = 30.0
    json: bool = False
