"""Figures as people read them: short, with their unit, never wider than they must be."""

__all__ = ("amount", "duration", "pace", "short_count", "size", "took")

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def duration(seconds: float) -> str:
    """Return a length of time: ``0:07``, ``2:20``, ``1:02:03``, ``3d 4h``.

    Args:
        seconds: 0 or more; a century and more is shown as ``forever``.
    """
    if seconds > 36500 * _DAY:
        return "forever"
    whole = round(seconds)
    if whole >= _DAY:
        return f"{whole // _DAY}d {whole % _DAY // _HOUR}h"
    hours, minutes, rest = whole // _HOUR, whole % _HOUR // _MINUTE, whole % _MINUTE
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def took(seconds: float) -> str:
    """Return a length of time that is over: ``0.41 s``, ``3.9 s``, then like :func:`duration`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < _MINUTE else duration(seconds)


def pace(per_second: float) -> str:
    """Return a rate: ``12,345/s``, ``4.1/s``, or below one in ten seconds ``3.0/min``."""
    if per_second >= 9.95:  # noqa: PLR2004 - from here on no decimal place
        return f"{per_second:,.0f}/s"
    if per_second >= 0.1 or per_second == 0:  # noqa: PLR2004 - below, minutes say more
        return f"{per_second:.1f}/s"
    return f"{per_second * _MINUTE:.1f}/min"


def size(count: float) -> str:
    """Return an amount of memory: ``84 MB``, ``1.2 GB``."""
    megabytes = count / 1e6
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 999.5 else f"{megabytes:.0f} MB"  # noqa: PLR2004


def short_count(count: int) -> str:
    """Return a count in at most six characters: ``54,321``, ``432k``, ``1.23M``, ``45.6M``."""
    if count < 100_000:  # noqa: PLR2004
        return f"{count:,}"
    if count < 1_000_000:  # noqa: PLR2004
        return f"{count // 1000}k"
    return f"{count / 1e6:.2f}M" if count < 10_000_000 else f"{count / 1e6:.1f}M"  # noqa: PLR2004


def amount(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: ``1 line``, ``2 lines``."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
