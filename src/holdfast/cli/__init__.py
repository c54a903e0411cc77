"""The command line: one folder per verb, imported only when that verb is called."""
