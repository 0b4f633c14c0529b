"""Loaded by every Python process of a run that faults are put into, before anything of its own."""

from tests.faults import inject

inject.install()
