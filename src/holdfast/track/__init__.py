"""What is open, who opened it, and who closes it."""
