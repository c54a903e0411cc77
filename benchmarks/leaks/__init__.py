"""Simulated days of a program's descriptors, healthy and leaking: what the rule of trends is held by."""
