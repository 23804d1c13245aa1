"""Error and size metrics of compressed arrays."""
