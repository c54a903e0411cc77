"""``holdfast run``: an unmodified program under guard."""
