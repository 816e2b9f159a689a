"""Bases and skills put on record: bytes first, then one transaction."""
