"""Wire formats of the providers, and what the relay needs of any format."""
