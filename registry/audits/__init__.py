"""Audits: what is in a model, from whom, and how it is shown."""
