"""Circuit breakers: whether a provider that failed may be called."""
