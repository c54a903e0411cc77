"""What a store of settled calls keeps for each key, and what a store has to do."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from holdfast._core import check

__all__ = ("Claim", "IdempotencyStore", "Record", "State", "age")

State = Literal["started", "done", "failed", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a store knows of one key.

    Attributes:
        key: The key.
        state: ``"started"``: work began and has left no outcome; it runs still, or was cancelled, or its
            process died. ``"done"``: it returned. ``"failed"``: it raised. ``"lost"``: it ended, but its
            outcome could not be kept; ``note`` says what it was.
        attempt: How often work was begun for this key since it was forgotten, from 1.
        owner: Process and host that began it last.
        age_s: Seconds since the last change.
        value: What the work returned, in ``"done"``.
        error: What it raised, in ``"failed"``.
        note: What is known of an outcome that is lost.
    """

    key: str
    state: State
    attempt: int
    owner: str
    age_s: float
    value: Any = None
    error: BaseException | None = None
    note: str = ""


class Claim(NamedTuple):
    """The right to settle a key.

    Attributes:
        attempt: How often work was begun for the key since it was forgotten, from 1.
        token: Tells this attempt from all others, also from one with the same number.
    """

    attempt: int
    token: str


class IdempotencyStore(Protocol):
    """Where outcomes are kept. Its methods may be called from any thread; each is atomic.

    States of a key: unknown -> started (:meth:`begin`) -> done, failed or lost (:meth:`settle`) -> unknown
    (its age, its turn when the store is full, or :meth:`forget`). From started back to started, with a new
    claim, if ``begin`` is told to take over. Who holds an earlier claim is not heard any more.
    """

    @property
    def blocking(self) -> bool:
        """Whether its methods wait for something, such as a disk; then no event loop calls them."""
        ...

    def begin(self, key: str, *, take_over: bool = False) -> Claim | Record:
        """Note that work starts, durably before this returns; or say what is known of the key.

        Args:
            key: The key.
            take_over: Whether to begin anew where earlier work has left no outcome.

        Returns:
            A claim, if the work is to run now; otherwise the record.

        Raises:
            QueueFull: The store is full of work without an outcome.
        """
        ...

    def settle(self, key: str, claim: Claim, value: Any, error: BaseException | None) -> bool:
        """Note the outcome of the work; False if the claim is not the key's last, or was used.

        Args:
            key: The key.
            claim: What :meth:`begin` returned.
            value: What the work returned, if ``error`` is None.
            error: What it raised.
        """
        ...

    def forget(self, key: str, claim: Claim | None = None) -> bool:
        """Drop what is known of a key; False if there was nothing to drop.

        Args:
            key: The key.
            claim: Drop it only if this is its last one, and not used; None drops whatever there is.
        """
        ...

    def get(self, key: str) -> Record | None:
        """Return what is known of a key."""
        ...

    def close(self) -> None:
        """Release what the store holds."""
        ...


def age(max_age: float) -> float:
    """Check ``max_age``, which has to be a bound."""
    seconds = check.seconds("max_age", max_age)
    if seconds is None:
        msg = "max_age must be seconds as a number, not None: nothing is kept for ever"
        raise TypeError(msg)
    return seconds
