"""Kernels in CUDA C++ and the code that launches them, for any device with an array namespace."""
