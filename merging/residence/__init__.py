"""Resident mode: what is kept in memory, and combined there."""
