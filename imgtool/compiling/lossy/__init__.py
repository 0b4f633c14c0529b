"""Lossy twins of compiled models: how they are made, and which may be used."""
