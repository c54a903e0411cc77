"""Mechanisms without policy: time, lines, hand-overs. Starts no thread and reads no file."""
