"""The replica's slots: who may stream, and in which of its processes."""
