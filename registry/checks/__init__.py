"""A merge looked at before any work: what is in its way, what it takes, what to expect."""
