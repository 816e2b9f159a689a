"""Statistics of skills on disk: Gram matrices of layers' inputs, diagonal Fisher information."""
