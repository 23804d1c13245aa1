"""Planning and running compression and I/O around a simulation's busy intervals."""
