"""A compressed soak: very many short sessions, and whether anything grows with them.

python -m tests.soak --help
"""
