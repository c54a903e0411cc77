"""The options that a view of a pool can change for its own calls, and those that it takes over."""

import operator
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from holdfast._core import check
from holdfast.pools.order import Order

if TYPE_CHECKING:
    from holdfast._core.clock import Clock
    from holdfast.limits.rates import Rates, Weights
    from holdfast.pools._admission import Admission
    from holdfast.pools._meter import Meter
    from holdfast.pools._pace import Pace

__all__ = ("UNSET", "Options", "Ranked", "Sizeof", "Unset", "paced", "pool_options")

Sizeof = Callable[..., int]
"""Called with a call's arguments; returns its bytes."""


class Ranked(Protocol):
    """A call that says who it is to the order in which it waits, and what it weighs in the pool's rates."""

    rank: Any
    weights: "Weights | None"


class Unset:
    """The type of :data:`UNSET`: an option that was not given, where None means "no bound"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True)
class Options:
    """How one call is to be treated.

    Attributes:
        timeout: Longest run in seconds, from the start of the call; None is no bound.
        queue_timeout: Longest wait for a permit in seconds; None is no bound.
        order: The pool's order; None is first come first served.
        rank: What a call says of itself to that order: its key, or its priority.
        meter: What measures calls, where the limit of the pool follows how they go.
        pace: What calls weigh and learn, where the pool has a rate.
        sizeof: Tells the bytes of a call from its arguments, where the pool's queue is bounded in
            bytes.
        special: Whether a call has a rank, a size, a meter or a pace, which few have.
    """

    timeout: float | None = None
    queue_timeout: float | None = None
    order: Order | None = None
    sizeof: Sizeof | None = None
    rank: Any = None
    meter: "Meter | None" = None
    pace: "Pace | None" = None
    special: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        check.seconds("timeout", self.timeout)
        check.seconds("queue_timeout", self.queue_timeout, zero=True)
        few = (self.rank, self.sizeof, self.meter, self.pace)
        special = any(option is not None for option in few)
        object.__setattr__(self, "special", special)

    def with_(
        self,
        timeout: float | Unset | None = UNSET,
        queue_timeout: float | Unset | None = UNSET,
        key: Hashable | Unset = UNSET,
        priority: float | Unset = UNSET,
    ) -> "Options":
        """Return a copy with what was given in place of what is here.

        Raises:
            ValueError: ``key`` or ``priority`` was given, and the pool's order does not go by it.
        """
        rank = self.rank
        if key is not UNSET:
            rank = self._rank("key", key, "Fair()")
        if priority is not UNSET:
            rank = self._rank("priority", priority, "Priority()")
        return Options(
            self.timeout if isinstance(timeout, Unset) else timeout,
            self.queue_timeout if isinstance(queue_timeout, Unset) else queue_timeout,
            self.order,
            self.sizeof,
            rank,
            self.meter,
            self.pace,
        )

    def size_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """How many bytes a call with these arguments has, 0 where nobody asks.

        Raises:
            TypeError: The pool's ``sizeof`` returned no whole number.
            ValueError: It returned less than 0.
            Exception: Whatever it raised.
        """
        if self.sizeof is None:
            return 0
        found: Any = self.sizeof(*args, **kwargs)
        try:
            size = operator.index(found)
        except TypeError as error:
            raise TypeError(_no_size(found)) from error
        if size < 0:
            raise ValueError(_no_size(found))
        return size

    def around(
        self, fn: Callable[..., Awaitable[Any]], timeout: float | None
    ) -> Callable[..., Awaitable[Any]]:
        """Return a coroutine function with whatever watches a call around it."""
        if self.meter is not None:
            fn = self.meter.around(fn, timeout)
        return fn if self.pace is None else self.pace.around(fn)

    def mark(self, call: Any) -> None:
        """Note on a blocking call what it is to the queue, the order, the rates; and watch it."""
        call.size = self.size_of(call.args, call.kwargs)
        call.rank = self.rank
        if self.pace is not None:
            call.weights = self.pace.weights_of(call.args, call.kwargs)
            call.fn = self.pace.around_blocking(call.fn)

    def weights_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "Weights | None":
        """What a call with these arguments weighs in the pool's rates; None where nobody asks.

        Raises:
            Exception: What a rate's ``weigh`` raised, or that it returned no weight.
        """
        return None if self.pace is None else self.pace.weights_of(args, kwargs)

    def _rank(self, option: str, said: object, order: str) -> Any:
        if self.order is not None and self.order.option == option:
            return self.order.rank(said)
        msg = (
            f"{option}={said!r} would mean nothing: the pool serves "
            f"{'first come first served' if self.order is None else f'by {self.order.option}'}; "
            f"make it with order=holdfast.{order}, or leave {option} out"
        )
        raise ValueError(msg)


def _check_order(order: object) -> None:
    if order is not None and not isinstance(order, Order):
        msg = f"order must be one such as Fair() or Priority(), or None, not {order!r}"
        raise TypeError(msg)


def _no_size(found: object) -> str:
    return f"sizeof must return bytes as a whole number of at least 0, not {found!r}"


def pool_options(
    timeout: float | None,
    queue_timeout: float | None,
    order: Order | None,
    max_queue_bytes: int | None,
    sizeof: Sizeof | None,
) -> Options:
    """Return the options of a pool, checked.

    Raises:
        TypeError: One of them is of the wrong kind.
        ValueError: One is out of range, or ``sizeof`` and ``max_queue_bytes`` are not given together.
    """
    _check_order(order)
    if max_queue_bytes is not None:
        check.count("max_queue_bytes", max_queue_bytes, least=1)
    if (sizeof is None) != (max_queue_bytes is None):
        msg = "max_queue_bytes and sizeof go together: a bound in bytes, and what tells those of a call"
        raise ValueError(msg)
    if sizeof is not None:
        check.callable_("sizeof", sizeof)
    return Options(timeout, queue_timeout, order, sizeof)


def paced(
    options: Options, gate: "Rates | None", admission: "Admission", timer: "Clock"
) -> Options:
    """Return the options of a pool with what its calls weigh and learn, where it has a rate."""
    if gate is None:
        return options
    from holdfast.pools._pace import Pace  # noqa: PLC0415 - few pools have one

    return replace(options, pace=Pace(gate, admission, timer))
