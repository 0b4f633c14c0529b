"""The heavy side: the worker process and the pool that starts, watches and replaces it.

Importing the pool imports no model library: it reaches the models by starting a process that does.
"""
