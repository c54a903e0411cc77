"""``track``: anything with a ``close`` gets an owner, a line and an age."""

from collections.abc import Callable
from typing import Any, TypeVar

from holdfast._core import check
from holdfast.track._closing import closer_of
from holdfast.track._registry import REGISTRY, Opened
from holdfast.track._site import caller
from holdfast.track.descriptors import DESCRIPTORS
from holdfast.track.scopes import current_scope

__all__ = ("opened", "report", "track", "untrack")

T = TypeVar("T")


def track(
    thing: T,
    *,
    name: str = "",
    close: Callable[[], Any] | None = None,
    is_closed: Callable[[], bool] | None = None,
    descriptors: int = 0,
) -> T:
    """Record ``thing`` as open, at the caller's line, until it is closed or collected; return it.

    Inside a :func:`scope` it is closed with the scope. Outside of one it is only listed, by
    :func:`holdfast.track.opened`; nothing closes it but you. Something that is tracked already is left
    as it is.

    It is referenced weakly, so that tracking keeps nothing alive. What can't be (a
    ``sqlite3.Connection``) is kept by its scope until that ends or the thing says that it is closed,
    and is refused outside of one.

    That it is closed is learned from its ``closed`` or ``is_closed``, or from a ``fileno()`` of -1, when
    somebody looks at the list, or ``is_closed`` is asked instead.

    May be called from any thread. Costs a walk up the stack and one record.

    Args:
        thing: Anything with ``aclose`` or ``close``.
        name: For reports.
        close: What closes it, where it has no such method, or not the right one. It must not refer
            to ``thing`` strongly, or ``thing`` will live until its scope ends.
        is_closed: What says whether it is closed. Likewise.
        descriptors: How many descriptors it has open, 0 or more: counted in the process's budget as
            long as it is. As it is open already, this neither waits nor is refused.

    Returns:
        ``thing``.

    Raises:
        TypeError: It has nothing that closes it; or it can't be referenced weakly, and there is no
            scope around the caller.

    Example:
        >>> import io
        >>> book = track(io.StringIO(), name="notes")
        >>> [one.name for one in opened() if one.kind == "StringIO"]
        ['notes']
        >>> book.close()
        >>> [one.name for one in opened() if one.kind == "StringIO"]
        []
    """
    if REGISTRY.find(thing) is not None:
        return thing
    if close is None and closer_of(thing, awaitable=False) is None:
        msg = f"{type(thing).__qualname__} has neither close nor aclose; say close=... how it is closed"
        raise TypeError(msg)
    count = check.count("descriptors", descriptors)
    keeper = current_scope()
    site = caller()
    owner = "process" if keeper is None else keeper.path
    record = REGISTRY.add(thing, site=site, owner=owner, name=name, closer=close, probe=is_closed)
    if not record.weak and keeper is None:
        record.drop()
        msg = (
            f"{type(thing).__qualname__} can't be referenced weakly, so tracking it would keep it open for "
            "ever: track it inside a `holdfast.scope`, or track what holds it"
        )
        raise TypeError(msg)
    if count:
        record.draw = DESCRIPTORS.note(owner, count)
    if keeper is not None and not keeper.take(record):
        record.owner = "process"  # the scope has ended in this very moment
    return thing


def untrack(thing: object) -> bool:
    """Forget ``thing``: somebody else answers for it from now on.

    Args:
        thing: What was tracked.

    Returns:
        Whether it was.
    """
    record = REGISTRY.find(thing)
    return record is not None and record.drop()


def opened(owner: str | None = None) -> tuple[Opened, ...]:
    """Return what this process has open through holdfast, the oldest first.

    May be called from any thread. Costs a look at each thing.

    Args:
        owner: Only what this one answers for: ``"process"``, the path of a scope, or ``"pool 'db'"``;
            None is all.

    Returns:
        One frozen record for each, with kind, name, owner, line and age.
    """
    return REGISTRY.opened(owner)


def report() -> str:
    """Return the same for people to read: by owner, the one with most first, the oldest of each first.

    Needs no descriptor, so that it can be had when there are none left.

    Example:
        >>> print(report())  # doctest: +SKIP
        3 open
        pool 'db': 2
          connection, 12.0 s, app.py:31 in main
          connection, 0.5 s, app.py:31 in main
        server/session-17: 1
          TextIOWrapper 'notes', 0.1 s, app.py:57 in write
    """
    owners: dict[str, list[Opened]] = {}
    found = opened()
    for one in found:
        owners.setdefault(one.owner, []).append(one)
    lines = [f"{len(found)} open"]
    for owner, things in sorted(owners.items(), key=lambda item: (-len(item[1]), item[0])):
        lines.append(f"{owner}: {len(things)}")
        lines += [
            f"  {one.kind}{f' {one.name!r}' if one.name else ''}, {one.age_s:.1f} s, {one.where}"
            for one in things
        ]
    return "\n".join(lines)
