"""Providers: calling one, what it can do to us, and what is tried after it."""
