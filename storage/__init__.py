"""Where bytes live: blobs, delta encodings, the mask generator, reading and writing checkpoints."""
