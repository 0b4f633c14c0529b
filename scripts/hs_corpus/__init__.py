"""Endless trade documents with known tariff codes, to measure on how well codes are found and what a confidence means.

``python scripts/hs_corpus.py`` draws them, has them read and evaluates; see ``docs/hs-codes.md``.
Layouts and wordings of the ``train`` split and of the ``held-out`` split are different ones, and so are the seeds.
"""
