"""What a service says of its rate limits in the headers of an answer."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ("RateHint", "rate_hints", "retry_after_of")

_UNITS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")

_PREFIXES: Final = ("anthropic-ratelimit-{what}-{figure}", "x-ratelimit-{figure}-{what}")
_WHAT: Final = ("requests", "tokens", "input-tokens", "output-tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateHint:
    """One rate limit as the service counts it; None where it does not say.

    Attributes:
        what: What is counted: ``requests``, ``tokens``, ``input-tokens`` or ``output-tokens``.
        limit: How many in a period.
        remaining: How many are left.
        reset_s: Seconds until all of them are there again.
    """

    what: str
    limit: float | None = None
    remaining: float | None = None
    reset_s: float | None = None


def rate_hints(headers: Mapping[str, str], *, now_wall: float) -> tuple[RateHint, ...]:
    """Return the rate limits that ``headers`` tell of; a header that can't be read tells nothing.

    Understands those of Anthropic (``anthropic-ratelimit-requests-remaining``), those of OpenAI and
    everybody who follows it (``x-ratelimit-remaining-requests``), and the plain ``ratelimit-remaining``.

    Args:
        headers: Names in any case.
        now_wall: Seconds since 1970, for those who tell the moment of the reset.

    Source:
        The providers' documentation of their headers; draft-ietf-httpapi-ratelimit-headers (03).
    """
    lower = {name.lower(): value for name, value in headers.items()}
    told = [(form, what) for form in _PREFIXES for what in _WHAT]
    told += [("ratelimit-{figure}", "requests"), ("x-ratelimit-{figure}", "requests")]
    found = [_hint(lower, form, what, now_wall) for form, what in told]
    return tuple(hint for hint in found if hint is not None)


def retry_after_of(headers: Mapping[str, str], *, now_wall: float) -> float | None:
    """Seconds that the service asks to wait, from ``retry-after-ms`` or ``retry-after``; None without.

    Source:
        RFC 9110, section 10.2.3: seconds, or a date.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    milliseconds = _number(lower.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1e3
    said = lower.get("retry-after")
    seconds = _number(said)
    if seconds is not None or said is None:
        return seconds
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return None
    aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now_wall)


def _hint(headers: Mapping[str, str], form: str, what: str, now_wall: float) -> RateHint | None:
    def said(figure: str) -> str | None:
        return headers.get(form.format(what=what, figure=figure))

    limit, remaining = _number(said("limit")), _number(said("remaining"))
    reset_s = _reset(said("reset"), now_wall)
    if limit is None and remaining is None:
        return None
    return RateHint(what=what, limit=limit, remaining=remaining, reset_s=reset_s)


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0.0 else None


def _reset(text: str | None, now_wall: float) -> float | None:
    """Seconds until then: "6m0s", "20ms", "59.7", or a moment as RFC 3339 writes it."""
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return seconds
    parts = _PART.findall(text)
    if parts and "".join(map("".join, parts)) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else max(0.0, moment.timestamp() - now_wall)
