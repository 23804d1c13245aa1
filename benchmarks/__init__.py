"""Benchmarks: an asv suite (bench_*.py), a comparison with other codecs, and the footprint."""
