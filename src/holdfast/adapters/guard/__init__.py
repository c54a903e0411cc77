"""An unmodified program under guard: who opened what, what runs short, and what is done about it.

Everything here is put into a program from outside, by names of the standard library that are replaced
(:mod:`holdfast.adapters._patches`), and never by an audit hook, which can't be taken out again.
"""
