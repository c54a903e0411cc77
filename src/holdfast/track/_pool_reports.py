"""What a resource pool writes into the log (``holdfast.track``): loans that last, and what came of them."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from holdfast.track._pool_slot import LEAKED, Slot, holder_of
from holdfast.track._site import Site

if TYPE_CHECKING:
    from holdfast.track._pool_places import PoolPlaces

__all__ = ("Loan", "tell_failure", "tell_late", "tell_lost", "tell_return")

log = logging.getLogger("holdfast.track")


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan as it was when something was to be said of it: its slot may be lent again since."""

    owner: str
    who: str
    site: Site
    held_s: float
    leaked: bool

    @classmethod
    def of(cls, core: "PoolPlaces[Any]", slot: Slot[Any], now: float) -> Self:
        """Take it down; under the lock."""
        holder = holder_of(slot, now)
        return cls(core.options.owner, holder.who, slot.site, holder.held_s, slot.stage == LEAKED)


def tell_late(loan: Loan) -> None:
    """A loan has just become slow, or leaked."""
    if loan.leaked:
        log.warning(
            "%s: leaked? %s has held a resource for %.3g s, borrowed at %s; see that each block ends",
            loan.owner,
            loan.who,
            loan.held_s,
            " <- ".join(loan.site.stack) or loan.site,
        )
    else:
        log.info(
            "%s: slow: %s has held a resource for %.3g s, borrowed at %s",
            loan.owner,
            loan.who,
            loan.held_s,
            loan.site,
        )


def tell_return(loan: Loan) -> None:
    """A loan that was reported has ended after all."""
    log.info(
        "%s: %s: a resource came back after %.3g s, borrowed at %s",
        loan.owner,
        "unleaked" if loan.leaked else "no longer slow",
        loan.held_s,
        loan.site,
    )


def tell_lost(loan: Loan) -> None:
    """A lease was dropped without having been given back."""
    log.warning(
        "%s: a lease was dropped after %.3g s without having been given back, borrowed at %s; its resource "
        "is closed; use `with pool.borrow()`, or release the lease",
        loan.owner,
        loan.held_s,
        loan.site,
    )


def tell_failure(owner: str, what: str, error: BaseException) -> None:
    """A function of the user has raised."""
    log.warning("%s: %s failed: %s: %s", owner, what, type(error).__name__, error)
