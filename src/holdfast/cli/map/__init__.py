"""``holdfast map``: run a function over the lines of a file, inside a bound, losing nothing."""
