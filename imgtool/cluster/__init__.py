"""Several machines: a pool whose workers are those of the nodes of a Ray cluster.

``pool.py`` is what the scheduler sees. It talks through ``link.py`` to a process of its own, ``connection.py``, which
alone imports Ray: Ray ends the process that uses it when the head of its cluster is gone. On each node one actor holds
a ``node.py``, which runs a pool as on one machine.
"""
