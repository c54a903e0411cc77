"""Arithmetic of "how many" and "how often": numbers in, numbers out; no thread, no clock."""

from holdfast.limits.rate import Rate, RateGate
from holdfast.limits.retry import Retry, tenacity_backoff

__all__ = ("Rate", "RateGate", "Retry", "tenacity_backoff")
