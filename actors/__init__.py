"""The domain: one actor a module, its decisions in a pure part beside it."""
