"""Endless pictures of six kinds, to train and to test the example classifier on.

Every kind has a module with ``SEEN`` layouts, drawn for training, and ``UNSEEN`` ones, drawn for testing alone.
A layout takes a random generator and a :class:`kinds.world.World` and returns an RGB image some 320 pixels long.
"""
