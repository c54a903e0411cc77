"""Records as what JSON can hold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final, cast

from holdfast.pools.histogram import Histogram
from holdfast.sense.reading import Reading
from holdfast.watch.verdict import Verdict

__all__ = ("plain",)

_QUANTILES: Final = (0.5, 0.9, 0.99)


def plain(value: Any) -> Any:
    """Return ``value`` with every record in it as a dictionary, and None for what is no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        named = cast("Mapping[object, Any]", value)
        return {str(key): plain(each) for key, each in named.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in cast("Sequence[Any]", value)]
    return plain(_fields(value)) if is_dataclass(value) else value


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, Histogram):
        quantiles = {f"p{q * 100:.0f}_s": value.quantile(q) for q in _QUANTILES}
        return {"count": value.count, "total_s": value.total_s, **quantiles}
    if isinstance(value, Verdict):
        return value.to_dict()
    named = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Reading):
        named |= {"left": value.left, "used": value.used}
    return named
