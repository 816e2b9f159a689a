"""Bundles: skills, merges and whole lineages out of one store and into another."""
