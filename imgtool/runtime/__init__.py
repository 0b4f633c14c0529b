"""The worker processes and the pool that starts, watches and replaces them; importing it imports no model library."""
