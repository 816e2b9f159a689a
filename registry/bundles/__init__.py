"""Bundles: versions with their bytes and history in one file, from one store into another."""
