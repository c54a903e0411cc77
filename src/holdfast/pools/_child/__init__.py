"""What runs in the processes of a pool, apart from all else: it imports next to nothing.

``boot`` starts ``zygote``, a small process with one thread that forks workers; ``worker`` is what each
of them does. ``wire`` and ``arena`` are spoken on both sides.
"""
