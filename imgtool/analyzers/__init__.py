"""The analyzers, one file each, behind one interface. Importing this package imports none of them."""
