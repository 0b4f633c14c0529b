"""One file an analyzer, behind one interface. Importing this package imports none of them."""
