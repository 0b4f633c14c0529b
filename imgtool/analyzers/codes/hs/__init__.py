"""Customs tariff numbers (HS codes) in recognised text."""

MIN_CONFIDENCE = 0.5
"""The default of ``--codes min_confidence``: less certain numbers are left out."""
