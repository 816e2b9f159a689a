"""Keeping a store: garbage, checks of what is there, repair."""
