"""Mechanisms without policy: time, lines, hand-overs. Starts no thread; what it reads is `/proc`."""
