"""What a user asks for, and the recipe that it becomes: expressions, recipe files, canonical JSON over digests."""
