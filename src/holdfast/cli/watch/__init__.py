"""``holdfast watch``: a process over time, and where it is heading."""
