"""What holdfast costs, beside what else one could use: a file for each claim.

Run ``python -m benchmarks`` in the project's root; ``docs/benchmarks.md`` explains the method.
"""
