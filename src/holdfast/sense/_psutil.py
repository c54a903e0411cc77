"""Asking psutil, where it is installed: it reads processes where there is no ``/proc``."""

import errno
import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from holdfast.sense._process import Process

__all__ = ("MISSING", "ask", "psutil")

T = TypeVar("T")

MISSING = "not available here without psutil: pip install 'holdfast[sense]'"


def psutil() -> Any | None:
    """Return the module, or None where it is not installed."""
    try:
        return importlib.import_module("psutil")
    except ImportError:
        return None


def ask(process: Process, question: Callable[[Any], T]) -> T:
    """Return psutil's answer about ``process``.

    Raises:
        ProcessLookupError: There is no such process.
        PermissionError: It belongs to somebody else.
        NotImplementedError: psutil is not installed.
    """
    known = psutil()
    if known is None:
        raise NotImplementedError(MISSING)
    try:
        return question(known.Process(process.pid))
    except known.NoSuchProcess:
        told = f"there is no process {process.pid}: it has ended, or never was"
        raise ProcessLookupError(errno.ESRCH, told) from None
    except known.AccessDenied:
        told = f"process {process.pid} belongs to another user: run as that user or as root"
        raise PermissionError(errno.EACCES, told) from None
