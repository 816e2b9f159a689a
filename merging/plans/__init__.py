"""Which tensors come out of what: a recipe laid over opened inputs."""
