"""Endless trade documents with known tariff codes, to measure on how well codes are found and what a confidence means.

``python scripts/measure_hs_codes.py`` draws them, has them read and evaluates; see ``docs/hs-codes.md``.
The ``train`` split and the ``held-out`` split differ in templates, words and seeds.
"""
