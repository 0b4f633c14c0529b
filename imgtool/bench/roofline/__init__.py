"""How fast this machine could be at most: its rates, and the work of the networks."""
