"""What a pool and its processes say to each other: the only place where the format stands.

To and from a worker go messages: a head of eight bytes, then a body. To and from the zygote go records
of one size, so that a stream of them can be cut without looking; descriptors travel with a record.
"""

import struct

__all__ = (
    "BROKEN",
    "CALL",
    "CALL_NAMED",
    "CALL_PLAIN",
    "CALL_SHARED",
    "CALL_WHOLE",
    "DEAD",
    "END",
    "ERROR",
    "FLAWED",
    "FORKED",
    "FULL",
    "GREEDY",
    "HEAD",
    "HEAD_SIZE",
    "LOST",
    "NAME_SHIFT",
    "NEEDS_MAIN",
    "PLAIN",
    "PLAIN_VERSION",
    "READY",
    "RECORD",
    "RECORD_SIZE",
    "REFUSED",
    "SHARED",
    "SLOT",
    "SLOT_TAIL",
    "SPAWN",
    "STUCK",
    "VALUE",
)

HEAD = struct.Struct("<II")
"""Of a message: bytes of the body, kind."""

HEAD_SIZE = HEAD.size

SLOT = 512
"""A worker reads so many bytes at once. Calls that are sent ahead fill a slot each, so that a reading is
one call, whoever reads: the worker, or the pool, which takes back what it has not begun."""

SLOT_TAIL = struct.Struct("<I")
"""At the end of a slot: the number of its item, by which the pool knows what it has taken back."""

# To a worker.
CALL = 1  # the body is one pickle: function, arguments, named ones
CALL_SHARED = 2  # the same in the arena
CALL_NAMED = (
    3  # two pickles: the function, which is only a name; its arguments, of which none is named
)
CALL_PLAIN = (
    4  # the same, but the arguments are as ``marshal`` writes them: nothing but numbers and texts
)
CALL_WHOLE = 5  # a message of one of these kinds, head and all, is in the arena
NEEDS_MAIN = 0x100
NAME_SHIFT = 16
"""Above these bits of a kind stand the bytes of the first of two pickles."""

# From a worker. With ``SHARED`` the body says what lies in the arena.
READY = 1
BROKEN = 2
VALUE = 3
ERROR = 4
LOST = 5
PLAIN = 6  # what was returned, as ``marshal`` writes it
SHARED = 0x100

PLAIN_VERSION = 2
"""Of ``marshal``: the last one that looks at each value alone and interns no text. It takes half as long as
a pickle, which makes objects that stay cold in the caches of who runs once in a while."""

RECORD = struct.Struct("<IIqqq")
"""To or from the zygote: kind, worker, and three numbers."""

RECORD_SIZE = RECORD.size

# To the zygote.
SPAWN = 1  # with three descriptors
END = 2  # with the grace in nanoseconds

# From the zygote.
FORKED = 1  # with the process's number
REFUSED = 2  # with the errno of the fork
DEAD = 3  # with the wait status, and whether it was over its memory
STUCK = 4  # it does not end, whatever is sent to it
GREEDY = 5  # it is close to its bound of memory, and is to be replaced when its call has ended
FLAWED = 6  # a module could not be preloaded, or can't be kept by a process that forks
FULL = 0x10000  # of the status in DEAD: ended because it was over its bound of memory
