"""Merging on a CUDA device: the fused Triton kernel, what it reads, and what stays on the device."""
