"""Imports BlueSky: for the server that worker processes are forked from.

    multiprocessing.set_forkserver_preload(["evertrain.integrations.bluesky.warm"])

Then a worker starts in a fraction of the time, and so does the one that takes the
place of a crashed one. The simulator itself is started in each of them.

Layer: integrations. Imports its siblings.
"""

from evertrain.integrations.bluesky.simulator import load

load()
