"""Rate limits: who is calling, and how often he may."""
