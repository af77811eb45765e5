"""Fault injectors and contract suites, for us and for plugin authors."""

from evertrain.testing.clock import FakeClock
from evertrain.testing.contracts import KeepContract, WhenContract
from evertrain.testing.cut import CutFs, PowerCut
from evertrain.testing.disk_contract import FsContract
from evertrain.testing.faults import FaultyFs
from evertrain.testing.plugin_contract import AdapterContract, CodecContract, RngContract
from evertrain.testing.power import PowerDisk, Remains
from evertrain.testing.seam import everything_on
from evertrain.testing.worlds import World

__all__ = [
    "AdapterContract",
    "CodecContract",
    "CutFs",
    "FakeClock",
    "FaultyFs",
    "FsContract",
    "KeepContract",
    "PowerCut",
    "PowerDisk",
    "Remains",
    "RngContract",
    "WhenContract",
    "World",
    "everything_on",
]
