"""Licences as they are stated: read, spelled in one way, and combined over a lineage. Facts, and no legal advice."""
