"""Codecs: the Zarr and numcodecs face, the pipelines behind it, their stages and kernels."""
