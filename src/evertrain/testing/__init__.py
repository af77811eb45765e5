"""Fault injectors and contract suites, for us and for plugin authors."""

from evertrain.testing.clock import FakeClock
from evertrain.testing.contracts import KeepContract, WhenContract
from evertrain.testing.faults import FaultyFs
from evertrain.testing.power import CutFs, PowerCut, PowerDisk, World

__all__ = [
    "CutFs",
    "FakeClock",
    "FaultyFs",
    "KeepContract",
    "PowerCut",
    "PowerDisk",
    "WhenContract",
    "World",
]
