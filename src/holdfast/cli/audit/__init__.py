"""``holdfast audit``: one look at a process."""
