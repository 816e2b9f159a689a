"""Values in, bytes out: the mask generator, quantization, exact differences, chunk frames."""
