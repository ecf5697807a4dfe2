"""Metrics: the catalog, what is counted, and how it is rendered."""
