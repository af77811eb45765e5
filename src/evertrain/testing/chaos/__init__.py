"""Faults on schedule, for a training of your own: see `docs/testing.md`.

    faults = schedule(7, duration_s=600, per_hour={Kill(): 60, Hang(duration_s=3): 6})
    with Chaos("runs/mine") as chaos:
        injuries = chaos.play(faults)

Layer: testing.
"""

from evertrain.testing.chaos.hands import Chaos, Injury
from evertrain.testing.chaos.plan import (
    Fault,
    FillDisk,
    FlipBits,
    Hang,
    Interrupt,
    Kill,
    TearTail,
    Who,
    schedule,
)

__all__ = [
    "Chaos",
    "Fault",
    "FillDisk",
    "FlipBits",
    "Hang",
    "Injury",
    "Interrupt",
    "Kill",
    "TearTail",
    "Who",
    "schedule",
]
