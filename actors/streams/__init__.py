"""Streams: one request's life, and the bytes of all of them. Start at `relay`."""
