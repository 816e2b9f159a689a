"""What exists and how it relates: records, names, lineage, audit, provenance, the Store facade."""
