"""``holdfast top``: a live screen of one process."""
