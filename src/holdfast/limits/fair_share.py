"""How several processes divide one limit: as evenly as their needs allow, and never more than there is."""

from collections.abc import Sequence

__all__ = ("fair_shares", "granted")


def fair_shares(total: int, wanted: Sequence[int]) -> list[int]:
    """Divide ``total`` so that nobody gets more than he wants, and nobody less than others but for that.

    Whoever wants less than an even part gets what he wants; the rest is divided evenly among the others.
    What does not divide goes to the first of them, one each.

    Args:
        total: What there is, 0 or more.
        wanted: What each wants, 0 or more.

    Returns:
        The shares, in the order of ``wanted``; their sum is the smaller one of ``total`` and what all want.

    Source:
        Max-min fairness, by filling: Bertsekas and Gallager, "Data Networks" (1992), section 6.5.

    Example:
        >>> fair_shares(10, [2, 9, 9])
        [2, 4, 4]
    """
    shares = [0] * len(wanted)
    left = total
    ranked = sorted(range(len(wanted)), key=lambda who: (wanted[who], -who))
    for place, who in enumerate(ranked):
        # Rounded down, so that what does not divide is left for those who come last: the first ones.
        shares[who] = min(wanted[who], left // (len(ranked) - place))
        left -= shares[who]
    return shares


def granted(share: int, *, held: int, others_hold: int, total: int) -> int:
    """Return how much one may hold now, on the way to ``share``, so that all together never exceed ``total``.

    Who has to give way does so when what he uses has come free; until then nobody else takes it.

    Args:
        share: What would be fair.
        held: What it uses now.
        others_hold: What the others have been granted.
        total: What there is.

    Returns:
        ``share``, or what the others have left of ``total`` if that is less; never less than ``held``, as
        nothing is taken away from work that runs.
    """
    return max(held, min(share, total - others_hold))
