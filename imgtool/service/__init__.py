"""The engine over HTTP. Imported by ``imgtool serve`` alone."""
