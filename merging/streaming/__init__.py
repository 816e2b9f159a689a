"""A plan carried out a chunk at a time, into shards or memory."""
