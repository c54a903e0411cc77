"""Who calls ``select.select``, which fails for descriptors above 1023 however high the limit is."""

import select
from typing import TYPE_CHECKING, Any

from holdfast.adapters._patches import Patches
from holdfast.adapters.guard.openers import Opener
from holdfast.adapters.guard.shortage import Shortage
from holdfast.track._site import Frames, Site, caller

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("SelectUsers",)

_MOST = 64


class SelectUsers:
    """Notes each line that calls it, once."""

    def __init__(self) -> None:
        self._frames: dict[Frames, Site] = {}
        self.failed = 0

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, in the order in which they first called."""
        return tuple(str(site) for site in list(self._frames.values()))

    def install(self, patches: Patches, shortage: Shortage) -> None:
        """Replace ``select.select``."""
        users = self

        class Select(Opener):
            def __call__(self, *args: Any, **kwargs: Any) -> Any:
                users.note()
                try:
                    return original(*args, **kwargs)
                except ValueError as error:
                    users.failed += "out of range" in str(error)
                    raise

        original: Callable[..., Any] = select.select
        patches.set(select, "select", Select(original, None, shortage, "select"))

    def note(self) -> None:
        """Take note of who has called."""
        if len(self._frames) < _MOST:
            site = caller()
            self._frames.setdefault(site.frames[:1], site)
