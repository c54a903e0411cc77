"""Classes derived from those of httpx and httpx2, for clients that are shared.

The two are alike and are no relatives: what is said of one here is said of both, by their module. A class
is made for each kind of client; it wraps the transport that the client would have made for itself, so
that proxies, certificates and an SDK's own transport stay what they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from holdfast.track._http.plan import Plan

__all__ = ("Kind", "Wrapping", "make_client")


class Wrapping:
    """A client that puts what it was told in front of each of its transports."""

    transport_class: Callable[[Any, Any], Any]

    def __init__(self, watched: Any, **more: Any) -> None:
        self._holdfast = watched
        super().__init__(**more)

    def _init_transport(self, *args: Any, **more: Any) -> Any:
        above: Any = super()
        return self.transport_class(above._init_transport(*args, **more), self._holdfast)  # noqa: SLF001 - what SDKs override too

    def _init_proxy_transport(self, *args: Any, **more: Any) -> Any:
        above: Any = super()
        return self.transport_class(above._init_proxy_transport(*args, **more), self._holdfast)  # noqa: SLF001 - likewise


@dataclass(frozen=True, slots=True)
class Kind:
    """What a shared client is made of: classes of ours, and the names of theirs that these go with.

    Attributes:
        client: Goes before the client's own class; derived from :class:`Wrapping`.
        transport: Stands before its transports.
        transport_base: The name of their base.
        body: Stands before the body of a response.
        body_base: The name of its base.
    """

    client: type[Wrapping]
    transport: type[Any]
    transport_base: str
    body: type[Any]
    body_base: str


_classes: dict[tuple[type[Any], ModuleType], type[Any]] = {}


def _shared_class(kind: Kind, base: type[Any], module: ModuleType) -> type[Any]:
    """Return ``base`` with what is said here, for httpx or for httpx2."""
    found = _classes.get((base, module))
    if found is None:
        body = type("SharedBody", (kind.body, getattr(module, kind.body_base)), {})
        transport = type(
            "SharedTransport",
            (kind.transport, getattr(module, kind.transport_base)),
            {"body_class": body},
        )
        name = f"Shared{base.__name__.lstrip('_')}"
        found = type(name, (kind.client, base), {"transport_class": transport})
        _classes[base, module] = found
    return found


def make_client(
    kind: Kind, base: type[Any], module: ModuleType, plan: Plan, watched: Any, limit: int
) -> Any:
    """Make a client whose own pool is as wide as its line.

    Args:
        kind: For coroutines, or for threads.
        base: Its class.
        module: ``httpx`` or ``httpx2``.
        plan: What is asked of it.
        watched: What its transports and bodies share.
        limit: How wide its line is.
    """
    limits = module.Limits(
        max_connections=limit, max_keepalive_connections=limit, keepalive_expiry=plan.keepalive
    )
    made = _shared_class(kind, base, module)
    return made(watched, **{"limits": limits, **dict(plan.more)})
