"""``holdfast limits``: what this machine lets a process hold."""
