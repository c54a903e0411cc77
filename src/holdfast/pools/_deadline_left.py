"""What a deadline that was inherited leaves to one call, and what its errors say."""

from holdfast.errors import QueueTimeout, RateLimited, Rejected
from holdfast.limits.rates import Weights
from holdfast.pools._admission import Admission

__all__ = ("Left", "came_late", "check_time", "ran_longer", "tighter", "waited_longer")


class Left(float):
    """Seconds until an inherited deadline, where that is nearer than the pool's own bound.

    It takes the place of the pool's own, and whoever makes the error looks at the type.
    """

    __slots__ = ()


def tighter(own: float | None, left: float) -> float:
    """Return the nearer of the pool's own bound and of what a deadline leaves."""
    return own if own is not None and own <= left else Left(max(0.0, left))


def check_time(
    admission: Admission, left: float, now: float, weights: Weights | None = None
) -> None:
    """Refuse a call that can't be in time, before it has a place.

    Raises:
        QueueTimeout: The deadline has passed.
        RateLimited: The pool's rate allows no start before it.
    """
    if left <= 0.0:
        raise came_late(admission)
    gate = admission.gate
    if gate is None:
        return
    with admission.lock:
        wait = gate.wait(now) if weights is None else gate.wait(now, weights)
        if wait >= left:
            raise admission._refusal(  # noqa: SLF001 - asked and counted under one lock
                RateLimited,
                f"the rate allows the next start in {wait:.3f} s, and the deadline that it inherited "
                f"comes in {left:.3f} s; try again later, or give the whole more time",
                retry_after=wait,
            )


def came_late(admission: Admission) -> Rejected:
    """Make and count the error of a call whose deadline has passed when it could start."""
    return admission.refusal(
        QueueTimeout,
        "the deadline that it inherited has passed; give the whole more time, or clean up under "
        "deadline(..., shield=True)",
    )


def waited_longer(admission: Admission) -> Rejected:
    """Make and count the error of a call whose deadline came while it waited."""
    return admission.refusal(
        QueueTimeout,
        "the deadline that it inherited came while it waited in line; raise the limit, send less, or "
        "give the whole more time",
    )


def ran_longer(name: str, seconds: float) -> str:
    """What to say of a call that has run for ``seconds`` and may not go on."""
    if isinstance(seconds, Left):
        return f"pool {name!r}: the deadline that it inherited came {seconds:g} s after the call's start"
    return f"pool {name!r}: the call ran longer than its timeout of {seconds:g} s"
