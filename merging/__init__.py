"""How weights combine: expressions, recipes, methods, kernels, the streaming materializer."""
