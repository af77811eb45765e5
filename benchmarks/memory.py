"""The peak of extra memory that two saves of one peer take; `blocked.py` starts it.

Usage: python benchmarks/memory.py PEER LAYERS WIDTH DIRECTORY
"""

import ctypes
import gc
import json
import sys
from pathlib import Path

from measure import forget_peak, hush, memory_bytes, remove
from peers import PEERS
from work import Size, State


def main(title: str, layers: str, width: str, directory: str) -> None:
    """Save twice, and print by how much the process grew at its largest."""
    hush()
    state = State(Size(int(layers), int(width)))
    peer = PEERS[title](state, Path(directory))
    path = Path(directory) / "checkpoint"
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    forget_peak()
    before_bytes = memory_bytes("VmRSS")
    for _ in range(2):
        peer.change()
        peer.save(path)
        peer.wait()
        remove(path)
    extra_bytes = memory_bytes("VmHWM") - before_bytes
    peer.close()
    numbers = {"state_bytes": state.nbytes, "extra_bytes": extra_bytes}
    print(json.dumps(numbers), file=sys.__stdout__)


if __name__ == "__main__":
    main(*sys.argv[1:5])
