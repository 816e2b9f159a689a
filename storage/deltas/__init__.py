"""Skills on disk: what a fine-tune changes, aligned with its base, in one self-describing file."""
