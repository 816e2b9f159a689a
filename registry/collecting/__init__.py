"""Collecting statistics of skills: running a model on data, and keeping what is merged with later."""
