"""Helpers that know nothing of images or models: Python processes, cores, retries, privacy settings, versioned JSON."""
