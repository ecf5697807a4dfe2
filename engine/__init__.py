"""An actor runtime on trio."""
