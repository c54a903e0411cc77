"""The line that opened each descriptor.

Purpose: name the lines that hold descriptors, at about a microsecond for each that is opened, and nothing
for each that is closed.
How: a table by descriptor number that is written when one is opened, and overwritten when its number is
used again. What is stale in it is found when somebody reads it: an entry counts only if its object is
alive and still has that number, and if the kernel says that what is open there is of that kind.

The number of a new descriptor is the lowest that is free, so it tells how many there are: when it is
higher than ever, the table is looked at, and the most that each line has held at once is kept.
"""

import gc
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final
from weakref import ref

from holdfast._core import clock
from holdfast.sense._counts import FD, fds_by_size, size_is_fds
from holdfast.sense.descriptor_kinds import Descriptor, open_descriptors
from holdfast.track._site import Frames, Site, caller_frames, frames_from

__all__ = ("ACCEPTED", "Held", "Lines")

ACCEPTED: Final = "accepted socket"

_FIRST_LOOK: Final = 64
_GC_WORTH_A_LOOK: Final = 16
_PATHS: Final = 512
_LISTENERS: Final = 512
_UNKNOWN: Final[tuple[Any, CodeType | None, int, Frames]] = (None, None, 0, ())
_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "file": frozenset({"file", "deleted file", "directory", "device", "pipe"}),
    "any": frozenset(),
    ACCEPTED: frozenset({"socket"}),
}


@dataclass(frozen=True, slots=True)
class Held:
    """What one line holds.

    Attributes:
        line: ``file:line in function``.
        stack: The same for up to three frames, the innermost first.
        kinds: Open descriptors that it has opened, by kind.
        oldest_s: The age of the oldest.
        peak: The most that were seen at once.
        collected: How many the collector has closed, because nobody had.
    """

    line: str
    stack: tuple[str, ...]
    kinds: Mapping[str, int]
    oldest_s: float
    peak: int
    collected: int

    @property
    def living(self) -> int:
        """How many are open."""
        return sum(self.kinds.values())


class Lines:
    """Who opened what. Any thread may call any method.

    Attributes:
        by_fd: The table: frames, a reference to the object if there is one, its kind, when it was opened.
            Whoever stands in for an opener that is called very often writes into it by itself.
        known: The frames of lines of the application that were met, under ``id(code) + f_lasti``.
        mark: At a descriptor as high as this, :meth:`look` is to be called.
        now: The clock.
    """

    def __init__(self) -> None:
        self.by_fd: dict[int, tuple[Frames, Any, str, float]] = {}
        self._databases: dict[str, Counter[Frames]] = {}
        self.known: dict[int, Frames] = {}
        self._acceptors: dict[int, tuple[Any, CodeType | None, int, Frames]] = {}
        self.mark = _FIRST_LOOK
        self._peaks: dict[str, int] = {}
        self._stacks: dict[str, tuple[str, ...]] = {}
        self._collected: Counter[str] = Counter()
        self._before: tuple[list[tuple[Frames, Any]], int] | None = None
        self._looking = threading.Lock()
        self.now = clock.current().now
        gc.callbacks.append(self._on_gc)

    def close(self) -> None:
        """Watch the collector no more."""
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)

    # ------------------------------------------------------------ when something is opened

    # These run each time. The line that opens is most often the application's own and was met before: then
    # it is found by its first frame, without a walk.

    def opened(self, fd: int, thing: object | None, kind: str, depth: int = 2) -> None:
        """Take note of a new descriptor, and of the object that has it, if one does."""
        frame = sys._getframe(depth)  # noqa: SLF001 - 2: above the function that stands in for the opener
        known = self.known
        frames = known.get(id(frame.f_code) + frame.f_lasti)
        if frames is None:
            frames = frames_from(frame, known)
        if not frames:  # one of our own
            self.by_fd.pop(fd, None)
            return
        self.by_fd[fd] = (frames, None if thing is None else ref(thing), kind, self.now())
        if fd >= self.mark:
            self.look()

    def accepting(
        self, accept: Callable[[Any], Any], relieved: Callable[[OSError], bool]
    ) -> Callable[[Any], Any]:
        """Return ``accept`` that takes note of each connection: in one function, as it is called for each.

        It is noted as of the line that has accepted the first one of its listener.

        Args:
            accept: The method as it was.
            relieved: Whether to try again after an error.
        """
        lines, by_fd, acceptors, now = self, self.by_fd, self._acceptors, self.now
        frame_above = sys._getframe  # noqa: SLF001 - the stack of whoever accepts

        def accept_noted(self: Any) -> Any:
            try:
                made = accept(self)
            except BlockingIOError:  # how each burst of connections ends
                raise
            except OSError as error:
                if not relieved(error):
                    raise
                made = accept(self)
            frame = frame_above(1)
            refer, code, at, frames = acceptors.get(id(self), _UNKNOWN)
            if code is not frame.f_code or at != frame.f_lasti or refer() is not self:
                frames = lines.acceptor(self, frame)
            connection = made[0]
            fd = connection.fileno()
            if not frames:
                by_fd.pop(fd, None)
                return made
            by_fd[fd] = (frames, ref(connection), ACCEPTED, now())
            if fd >= lines.mark:
                lines.look()
            return made

        return accept_noted

    def acceptor(self, listener: Any, frame: FrameType) -> Frames:
        """Keep of which line the connections of ``listener`` are from now on."""
        frames = frames_from(frame, self.known)
        if len(self._acceptors) >= _LISTENERS:
            self._acceptors.clear()
        self._acceptors[id(listener)] = ref(listener), frame.f_code, frame.f_lasti, frames
        return frames

    def connected(self, path: str) -> None:
        """Take note of a database connection, whose descriptors nobody tells."""
        counts = self._databases.get(path)
        if counts is None:
            if len(self._databases) >= _PATHS:
                return
            counts = self._databases[path] = Counter()
        counts[caller_frames(2)[:1]] += 1
        count = _count()
        if count is not None and count >= self.mark:
            self.look()

    # ------------------------------------------------------------ who holds what

    def look(self) -> None:
        """See how many each line holds, and keep it if it is more than ever."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            living = Counter(line for line, _, _ in self._living().values())
            total = len(living) and max(sum(living.values()), self.mark)
            self.mark = max(self.mark, total + max(_FIRST_LOOK, total // 2))
            for line, count in living.items():
                if count > self._peaks.get(line, 0):
                    self._peaks[line] = count
        except OSError:
            return
        finally:
            self._looking.release()

    def places(self) -> Mapping[int, str]:
        """Return the line that opened each open descriptor, for those of which it is known."""
        return {fd: line for fd, (line, _, _) in self._living().items()}

    def held(self) -> tuple[Held, ...]:
        """Return what each line holds or has held; those that hold most come first."""
        self.look()
        kinds: dict[str, Counter[str]] = {}
        ages: dict[str, float] = {}
        for line, kind, age in self._living().values():
            kinds.setdefault(line, Counter())[kind] += 1
            ages[line] = max(age, ages.get(line, 0.0))
        names = {*kinds, *self._peaks, *self._collected}
        found = (
            Held(
                line,
                self._stacks.get(line, (line,)),
                kinds.get(line, {}),
                ages.get(line, 0.0),
                max(self._peaks.get(line, 0), sum(kinds.get(line, Counter[str]()).values())),
                self._collected[line],
            )
            for line in names
        )
        return tuple(sorted(found, key=lambda each: (-each.living, -each.collected, -each.peak)))

    def _living(self) -> dict[int, tuple[str, str, float]]:
        """By descriptor its line, kind and age."""
        now, found = self.now(), dict[int, tuple[str, str, float]]()
        descriptors = open_descriptors()
        for each in descriptors:
            entry = self.by_fd.get(each.fd)
            if entry is not None and _is_valid(each, entry):
                kind = ACCEPTED if entry[2] == ACCEPTED else each.kind
                found[each.fd] = (self._line(Site(entry[0])), kind, now - entry[3])
        self._add_databases(descriptors, found)
        return found

    def _add_databases(
        self, descriptors: Iterable[Descriptor], found: dict[int, tuple[str, str, float]]
    ) -> None:
        if not self._databases:
            return
        lines = {
            os.path.realpath(path): [self._line(Site(frames)) for frames in counts.elements()]
            for path, counts in list(self._databases.items())
        }
        turns: Counter[str] = Counter()
        for each in descriptors:
            path = each.target.removesuffix("-wal").removesuffix("-shm").removesuffix("-journal")
            known = lines.get(path)
            if known and each.fd not in found:
                # The last ones that were opened are those that are open.
                turns[each.target] += 1
                line = known[-min(turns[each.target], len(known))]
                found[each.fd] = (line, "SQLite file", 0.0)

    def _line(self, site: Site) -> str:
        line = str(site)
        if line not in self._stacks:
            self._stacks[line] = site.stack
        return line

    # ------------------------------------------------------------ what the collector closes

    def _on_gc(self, phase: str, info: Mapping[str, int]) -> None:
        """Objects with a descriptor that only the collector ends were dropped and not closed."""
        if info.get("generation") != 2 or len(self.by_fd) + len(self._databases) == 0:  # noqa: PLR2004 - the oldest
            return
        if phase == "start":
            living = [
                (entry[0], entry[1])
                for entry in list(self.by_fd.values())
                if entry[1] is not None and entry[1]() is not None
            ]
            self._before = (living, _count() or 0)
        elif self._before is not None:
            living, count = self._before
            self._before = None
            gone = [Site(frames) for frames, thing in living if thing() is None]
            fewer = count - (_count() or 0)
            if fewer < _GC_WORTH_A_LOOK:
                return
            for site in gone:
                self._collected[self._line(site)] += 1
            if fewer - len(gone) >= _GC_WORTH_A_LOOK and self._databases:
                counts: Counter[Frames] = sum(self._databases.values(), Counter[Frames]())
                self._collected[self._line(Site(counts.most_common(1)[0][0]))] += fewer - len(gone)


def _is_valid(each: Descriptor, entry: tuple[Frames, Any, str, float]) -> bool:
    _, refer, kind, _ = entry
    if refer is not None:
        thing = refer()
        if thing is None:
            return False
        try:
            if thing.fileno() != each.fd:
                return False
        except (ValueError, OSError, AttributeError):
            return False
    expected = _KINDS.get(kind, frozenset({kind}))
    return not expected or each.kind in expected


def _count() -> int | None:
    if not size_is_fds():
        return None
    try:
        return fds_by_size(os.stat(FD))  # noqa: PTH116 - called for each connection
    except OSError:
        return None
