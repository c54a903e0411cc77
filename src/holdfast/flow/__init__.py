"""Shapes of bounded concurrency, in terms of pools."""

from holdfast.flow.stream import gather, stream

__all__ = ("gather", "stream")
