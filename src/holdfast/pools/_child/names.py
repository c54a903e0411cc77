"""What a worker knows of the functions that it was sent by name: the same pickle, the same function.

Finding a function costs more than the rest of a small call, so it is found once for each pickle. What is
looked at for each call is whether the name still leads to it; if a call has put something else there, that
is found, as it would be without this.
"""

from __future__ import annotations

import sys
from _pickle import loads

TYPE_CHECKING = False  # the module typing takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

__all__ = ("Names",)

_MOST = 256
"""Functions that are kept; with one more, all are forgotten."""


class Names:
    """The functions of one worker, by the pickles that name them."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Any, dict[str, Any], str]] = {}

    def find(self, data: bytes) -> Any:
        """Return the function that ``data`` names.

        Raises:
            Exception: There is none here.
        """
        found = self._known.get(data)
        if found is not None:
            fn, home, name = found
            if home.get(name) is fn:
                return fn
        return self._learn(data)

    def _learn(self, data: bytes) -> Any:
        fn = loads(data)
        module = sys.modules.get(getattr(fn, "__module__", None) or "")
        home: dict[str, Any] = getattr(module, "__dict__", {})
        name: str = getattr(fn, "__qualname__", "")
        if home.get(name) is fn:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[data] = fn, home, name
        return fn
