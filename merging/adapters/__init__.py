"""A merged delta as a LoRA adapter: which tensors have factors, and which factors come nearest."""
