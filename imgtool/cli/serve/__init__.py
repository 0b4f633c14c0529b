"""``imgtool serve``."""
