"""Generated trade documents with known tariff codes, to measure how well codes are found and to calibrate confidence.

``python scripts/measure_hs_codes.py`` draws them, has them read and evaluates; see ``docs/codes.md``.
The ``train`` split and the ``held-out`` split differ in templates, words and seeds.
"""
