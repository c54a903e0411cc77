"""What this process has open through holdfast: one record for each thing, weak.

Purpose: answer "what is open, who opened it, where, since when" at any moment, from any thread.

Guarantees
- a thing is recorded at most once, from :meth:`Registry.add` until it is dropped, closed or collected;
- a record keeps nothing alive, but for things that can't be referenced weakly: these it keeps until
  they say that they are closed, or their scope ends;
- what was collected leaves its scope and gives its descriptors back, without a lock, as the collector
  may run anywhere;
- the table holds at most twice as many closed things as open ones: it is swept each time it doubles.

States of a record: open -> gone (dropped, found closed, or collected), once: who pops it from the table
does the rest.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from holdfast._core import clock
from holdfast.track._closing import Closer, is_closed, kind_of
from holdfast.track._site import Site

__all__ = ("REGISTRY", "Drawn", "Keeper", "Opened", "Record", "Registry")

_SWEEP: Final = 64
"""Records at which the table is first swept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One thing that is open.

    Attributes:
        kind: Its type, such as ``"TextIOWrapper"``, or ``"pool"``.
        name: What it is called, perhaps empty.
        owner: Who answers for it: a scope's path, a pool, a client; ``"process"`` where nobody else does.
        where: ``file:line in function`` of the code that opened it.
        stack: The same for up to three frames of it, the innermost first.
        age_s: Seconds since then.
        descriptors: How many descriptors it has drawn from the budget.
    """

    kind: str
    name: str
    owner: str
    where: str
    stack: tuple[str, ...]
    age_s: float
    descriptors: int

    def __str__(self) -> str:
        named = f" {self.name!r}" if self.name else ""
        return f"{self.kind}{named} of {self.owner}, opened {self.age_s:.1f} s ago at {self.where}"


class Drawn(Protocol):
    """A right to descriptors, as a record sees it."""

    @property
    def count(self) -> int:
        """How many."""
        ...

    def give_back(self) -> None:
        """Return it."""
        ...

    def give_back_later(self) -> None:
        """Return it from where no lock can be taken."""
        ...


class Keeper(Protocol):
    """A scope, as a record sees it."""

    def forget(self, record: "Record", /) -> None:
        """The record is gone; from anywhere, the collector included."""
        ...


class Record:
    """One thing that is open. Made by :meth:`Registry.add` only.

    Attributes:
        kind: Its type, or what its owner calls it.
        name: What it is called, perhaps empty.
        owner: Who answers for it.
        site: Where it was opened.
        since: When, by the clock in use.
        closer: What closes it, if that is not a method of its own.
        probe: What says whether it is closed, if not the thing.
        draw: Its descriptors, or None.
        keeper: The scope that closes it, or None.
    """

    __slots__ = (
        "__weakref__",
        "_key",
        "_registry",
        "_thing",
        "_weak",
        "closer",
        "draw",
        "keeper",
        "kind",
        "name",
        "owner",
        "probe",
        "since",
        "site",
    )

    def __init__(
        self, registry: "Registry", thing: object, *, kind: str, name: str, owner: str, site: Site
    ) -> None:
        self._registry = registry
        self._key = id(thing)
        self._thing: object | None = None
        self._weak: weakref.ref[object] | None = None
        try:
            self._weak = weakref.ref(thing, self._collected)
        except TypeError:
            self._thing = thing
        self.kind = kind
        self.name = name
        self.owner = owner
        self.site = site
        self.since = clock.now()
        self.closer: Closer | None = None
        self.probe: Callable[[], bool] | None = None
        self.draw: Drawn | None = None
        self.keeper: Keeper | None = None

    @property
    def key(self) -> int:
        """Under which it stands in the table."""
        return self._key

    @property
    def weak(self) -> bool:
        """Whether it keeps its thing from being collected not."""
        return self._thing is None

    def thing(self) -> object | None:
        """Return the thing itself, or None once it has been collected or the record is gone."""
        weak = self._weak
        return self._thing if weak is None else weak()

    def closed(self) -> bool:
        """Whether the thing says that it is closed, or has been collected."""
        thing = self.thing()
        if thing is None:
            return True
        return self.probe() if self.probe is not None else is_closed(thing)

    def drop(self, *, in_finalizer: bool = False) -> bool:
        """The thing is closed, or somebody else's from now on; False if the record was gone already.

        Args:
            in_finalizer: Whether no lock can be taken here.
        """
        if not self._registry.forget(self):
            return False
        if self.keeper is not None:
            self.keeper.forget(self)
        draw = self.draw
        if draw is not None:
            if in_finalizer:
                draw.give_back_later()
            else:
                draw.give_back()
        self._thing = None
        self._weak = None  # which refers to this record
        return True

    def _collected(self, _: object) -> None:
        self.drop(in_finalizer=True)

    def told(self) -> Opened:
        """Return what is known of it as a frozen record."""
        return Opened(
            kind=self.kind,
            name=self.name,
            owner=self.owner,
            where=str(self.site),
            stack=self.site.stack,
            age_s=max(0.0, clock.now() - self.since),
            descriptors=0 if self.draw is None else self.draw.count,
        )


class Registry:
    """Records of open things by the identity of each. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._records: dict[int, Record] = {}  # each change is one step of the interpreter
        self._sweep_at = _SWEEP

    def __len__(self) -> int:
        return len(self._records)

    def add(
        self,
        thing: object,
        *,
        site: Site,
        owner: str = "process",
        kind: str = "",
        name: str = "",
        closer: Closer | None = None,
        probe: Callable[[], bool] | None = None,
        draw: Drawn | None = None,
    ) -> Record:
        """Record ``thing`` as open, for as long as it lives and is not closed.

        For pools and clients: nothing but the record is made, and no scope closes the thing. Who opens
        one of them on behalf of everybody is not to have it closed with the session that came first.
        What users call is :func:`holdfast.track`.

        Args:
            thing: What is open. If it has a record, that one is returned as it is.
            site: Where it was opened: ``caller()`` of ``_site.py``.
            owner: Who answers for it, such as ``"pool 'db'"``.
            kind: What it is; its type where that is empty.
            name: What it is called.
            closer: What closes it, where that is not ``thing.aclose`` or ``thing.close``. It must not
                refer to the thing strongly.
            probe: What says whether it is closed, where that is not ``thing.closed``. Likewise.
            draw: Its descriptors; given back when the record goes.

        Returns:
            The record. ``record.drop()`` when the thing has been closed.
        """
        known = self._records.get(id(thing))
        if known is not None and known.thing() is thing:
            return known
        record = Record(self, thing, kind=kind or kind_of(thing), name=name, owner=owner, site=site)
        record.closer, record.probe, record.draw = closer, probe, draw
        self._records[id(thing)] = record
        if len(self._records) >= self._sweep_at:
            self.sweep()
        return record

    def find(self, thing: object) -> Record | None:
        """Return the record of ``thing``, or None."""
        record = self._records.get(id(thing))
        return record if record is not None and record.thing() is thing else None

    def forget(self, record: Record) -> bool:
        """Take a record out of the table; False if it was not there."""
        try:
            found = self._records.pop(record.key)
        except KeyError:
            return False
        if found is record:
            return True
        self._records[record.key] = found  # of a younger thing in the same place of the memory
        return False

    def sweep(self) -> None:
        """Drop the records of what says that it is closed."""
        for record in list(self._records.values()):
            if record.closed():
                record.drop()
        self._sweep_at = max(_SWEEP, 2 * len(self._records))

    def records(self) -> list[Record]:
        """Return what is open, the oldest first."""
        self.sweep()
        return sorted(self._records.values(), key=lambda record: record.since)

    def opened(self, owner: str | None = None) -> tuple[Opened, ...]:
        """Return what is open as frozen records, the oldest first; of one owner, or all."""
        found = self.records()
        return tuple(one.told() for one in found if owner is None or one.owner == owner)


REGISTRY: Final = Registry()
"""The one registry of this process."""
