"""Rescue: going on elsewhere with an answer that broke off."""
