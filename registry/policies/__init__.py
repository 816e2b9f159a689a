"""Policies: what may be made of what, written down in a file, checked before any work, and recorded with the result."""
