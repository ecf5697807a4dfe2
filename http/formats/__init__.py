"""What clients speak: reading their requests, writing their answers."""
