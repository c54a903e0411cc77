"""Readers: what this process holds and may hold. No threads, no policy, nothing kept."""

from holdfast.sense.own import OwnReading, peak_rss_bytes, read_own

__all__ = ("OwnReading", "peak_rss_bytes", "read_own")
