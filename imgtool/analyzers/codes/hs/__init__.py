"""Customs tariff numbers (HS codes) in recognised text."""

MIN_CONFIDENCE = 0.5
"""Numbers of less confidence are not given out unless they are asked for."""
