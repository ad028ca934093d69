"""Import and export: what every format of another tool needs."""
