"""Provenance for MLflow: what is told, how it is delivered, and when."""
