"""A program that leaks descriptors, keeps steady, or waits: for the tests of what looks from outside.

Arguments: what it does, and seconds.
"""

import resource
import sys
import time

kind, seconds = sys.argv[1], float(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (1500, 4000))
kept = [open("/dev/null") for _ in range(50)]  # noqa: SIM115 - kept on purpose
sys.stdout.write("ready\n")
sys.stdout.flush()
until = time.monotonic() + seconds
while time.monotonic() < until:
    if kind == "leak" and len(kept) < 1400:
        kept.append(open("/dev/null"))  # noqa: SIM115
    elif kind == "steady":
        kept.append(open("/dev/null"))  # noqa: SIM115
        kept.pop(0).close()
    time.sleep(0.01)
