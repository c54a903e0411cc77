"""Several items in one call; what ``ProcessPool.map`` with a ``chunksize`` runs in a worker."""

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ("run_chunk",)


def run_chunk(fn: Callable[..., Any], rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Call ``fn`` for each row of arguments."""
    return [fn(*row) for row in rows]
