"""HTTP clients that are shared, bounded before their pool, and closed with their loop, or with the process."""
