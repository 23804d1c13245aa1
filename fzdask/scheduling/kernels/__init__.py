"""Numba kernels of the planner: integer nanoseconds in, integer nanoseconds out."""
