"""What the policy sees of a game, and what it earns: pure functions of looks.

Layer: integrations. Imports its siblings only.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evertrain.integrations.browser.look import Aircraft, Look
from evertrain.integrations.browser.settings import GameSettings

Observation = NDArray[np.float32]

# Of each slot, in this order; an empty slot is all zeros.
FEATURES: Final = (
    "is_there",
    "is_controllable",
    "is_arrival",
    "east",
    "north",
    "altitude",
    "heading_sin",
    "heading_cos",
    "ground_speed",
    "trend",
    "told_altitude",
    "told_heading_sin",
    "told_heading_cos",
    "told_speed",
    "in_conflict",
    "in_violation",
)
LIMIT: Final = 10.0  # no feature goes beyond

_KM: Final = 50.0  # a large airspace, from its middle
_FT: Final = 10_000.0
_KT: Final = 250.0


def observed(look: Look, slots: int) -> tuple[Aircraft, ...]:
    """Return the aircraft of the slots, those first that obey, each kind in the game's order."""
    return tuple(sorted(look.aircraft, key=lambda each: not each.is_controllable)[:slots])


def observe(look: Look, slots: int) -> Observation:
    """Return the aircraft of the slots as numbers.

    Returns:
        Array of `FEATURES`, slot after slot, shape (slots * features,).
    """
    close = {_at(look, index) for each in look.conflicts for index in each.pair}
    breach = {_at(look, i) for each in look.conflicts if each.is_violation for i in each.pair}
    table = np.zeros((slots, len(FEATURES)), np.float32)
    for row, each in zip(table, observed(look, slots), strict=False):
        row[:] = _features(each, is_close=each.callsign in close, is_breach=each.callsign in breach)
    return np.clip(table, -LIMIT, LIMIT).ravel()


def instruction(look: Look, action: Sequence[int], settings: GameSettings) -> str:
    """Return the command that an action stands for; "" if it stands for silence.

    Args:
        look: What the policy has seen.
        action: Slot from 1, or 0 for nobody; index of the instruction.
        settings: Of the game.
    """
    slot, index = (int(each) for each in action)
    listening = observed(look, settings.slots)
    if not 0 < slot <= len(listening) or not listening[slot - 1].is_controllable:
        return ""
    return f"{listening[slot - 1].callsign} {settings.instructions[index]}"


def reward(before: Look, after: Look, settings: GameSettings) -> float:
    """Return what the time between two looks was worth: points gained, less what came close."""
    gained = (after.score - before.score) / settings.points_per_reward
    breaches = sum(each.is_violation for each in after.conflicts)
    costs = settings.violation_cost * breaches
    costs += settings.conflict_cost * (len(after.conflicts) - breaches)
    return gained - costs


def _at(look: Look, index: int) -> str:
    return look.aircraft[index].callsign


def _features(each: Aircraft, *, is_close: bool, is_breach: bool) -> tuple[float, ...]:
    return (
        1.0,
        each.is_controllable,
        each.is_arrival,
        each.position_km[0] / _KM,
        each.position_km[1] / _KM,
        each.altitude_ft / _FT,
        math.sin(each.heading_rad),
        math.cos(each.heading_rad),
        each.ground_speed_kt / _KT,
        each.trend,
        each.told_altitude_ft / _FT,
        math.sin(each.told_heading_rad),
        math.cos(each.told_heading_rad),
        each.told_speed_kt / _KT,
        is_close,
        is_breach,
    )
