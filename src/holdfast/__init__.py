"""Bounded execution for AI-agent programs."""
