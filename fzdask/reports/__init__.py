"""What a codec does to an array, and which codec to take for it: for people who choose one."""
