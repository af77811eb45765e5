"""Fault injectors, fakes and contract suites, for us and for whoever trains with evertrain.

How to use them on a training of your own: `docs/testing.md`.
"""

from evertrain.testing.chaos import Chaos, schedule
from evertrain.testing.clock import FakeClock
from evertrain.testing.contracts import KeepContract, WhenContract
from evertrain.testing.cut import CutFs, PowerCut
from evertrain.testing.disk_contract import FsContract
from evertrain.testing.faults import FaultyFs
from evertrain.testing.plugin_contract import AdapterContract, CodecContract, RngContract
from evertrain.testing.power import PowerDisk, Remains
from evertrain.testing.resume_contract import ResumeContract
from evertrain.testing.seam import everything_on
from evertrain.testing.worlds import World

__all__ = [
    "AdapterContract",
    "Chaos",
    "CodecContract",
    "CutFs",
    "FakeClock",
    "FaultyFs",
    "FsContract",
    "KeepContract",
    "PowerCut",
    "PowerDisk",
    "Remains",
    "ResumeContract",
    "RngContract",
    "WhenContract",
    "World",
    "everything_on",
    "schedule",
]
