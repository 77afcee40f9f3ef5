"""A comparison as a value: kept, read back, and set against others."""
