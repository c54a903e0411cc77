"""The value of ``--rate``: ``5``, ``5/s``, ``60/min``, ``1000/h``, ``1/10s``."""

import re
from fractions import Fraction

import click

from holdfast.limits.rate import Rate

__all__ = ("parse_rate", "rate_option")

_UNITS_S = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
}
_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*(\d+)?\s*([a-z]+)\s*)?", re.ASCII)
_LARGEST = 10**9


def parse_rate(text: str) -> Rate:
    """Return the rate that ``text`` names.

    Args:
        text: A number of starts, and after a slash a unit of time (a second by default), which may
            have a whole number before it.

    Raises:
        ValueError: It names none; the message says what would do.
    """
    match = _FORM.fullmatch(text.lower())
    unit = _UNITS_S.get(match[3] or "s") if match else None
    if match is None or unit is None:
        msg = f"{text!r} is no rate; write 5/s, 60/min, 1000/h or 1/10s"
        raise ValueError(msg)
    starts, units = Fraction(match[1]), int(match[2] or 1)
    if not 0 < starts <= _LARGEST or units < 1:
        msg = f"{text!r} is no rate: it has to be more than 0 and at most {_LARGEST:,} starts"
        raise ValueError(msg)
    return Rate(starts.numerator, per=float(starts.denominator * units * unit))


def rate_option(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> Rate | None:
    """Return the rate that the option gave; a usage error names the option.

    Raises:
        click.BadParameter: It is no rate.
    """
    if text is None:
        return None
    try:
        return parse_rate(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
