"""Processes with all that they started: found as one tree, ended as one, many side by side.

The only room that sends signals. ``mark.py`` before the start, ``tree.py`` after it, ``waiting.py`` (or
steps of ``ending.py``) for the end; ``keeper.py`` for the end of this program itself. Nothing is
imported here, so that the keeper and the children of pools take only what they need.
"""
