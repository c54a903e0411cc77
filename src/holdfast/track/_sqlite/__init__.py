"""SQLite behind bounds: one writer that commits in groups, a few readers, no connection per session."""
