"""Programs that are run: started clean, read within bounds, ended with all that they started.

``tool.py`` is one running program on its event loop; everything else here is a part of it.
"""
