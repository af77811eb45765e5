"""The training whose runs are stored here: it keeps one of every kind of leaf.

What it does must never change, for runs that earlier versions made go on in it.
"""

import math
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, Flag
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from evertrain import Run, Stage, every, keep_last, register
from evertrain.testing import FakeClock

STAGES: Final = (Stage("warm", steps=3), Stage("main", steps=3))
LONGER: Final = (*STAGES, Stage("long", steps=3))
RING: Final = (5000, 1024)  # three parts, of which one changes


class Color(Enum):
    """An enumeration."""

    RED = 1
    BLUE = 2


class Marks(Flag):
    """Flags, which may be combined."""

    HOT = 1
    WET = 2


class Point(NamedTuple):
    """A named tuple."""

    x: float
    y: int


@dataclass
class Plan:
    """A dataclass."""

    name: str
    rates: list[float]


class Grid:
    """A class that the program teaches evertrain to store."""

    def __init__(self, cells: int) -> None:
        self.cells = cells


register(Grid, "format.grid", lambda grid: {"cells": grid.cells}, lambda tree: Grid(tree["cells"]))


def leaves(step: int) -> dict[str, Any]:
    """Return one of every kind of leaf, as they are after a step."""
    return {
        "none": None,
        "bool": step % 2 == 0,
        "str": "é ✓ \U0001f600 \x00",
        "odd str": "half a pair: \ud83d",
        "int": 2**70 + step,
        "float": [0.1 * step, -0.0, math.inf, -math.inf, math.nan],
        "complex": complex(step, math.nan),
        "tuple": (step, ("inner",)),
        "dict": {1: "one", (2, 3): "pair", None: step},
        "$": {"$": "not a mark"},
        "set": {step, -step},
        "frozenset": frozenset({(step, "x")}),
        "deque": deque([step, 2], maxlen=4),
        "counter": Counter({"a": step}),
        "defaultdict": defaultdict(list, {"a": [step]}),
        "ordereddict": OrderedDict([("z", 1), ("a", step)]),
        "range": range(0, 10 * step, 3),
        "bytes": bytes(range(step)),
        "long bytes": bytes(200) + bytes([step]),
        "bytearray": bytearray(b"x" * step),
        "enum": Color.BLUE,
        "flag": Marks.HOT | Marks.WET,
        "namedtuple": Point(0.5, step),
        "dataclass": Plan("plan", [0.1, float(step)]),
        "registered": Grid(step),
        "scalar": [np.float32(step), np.int64(step), np.bool_(1), np.datetime64("2026-11-22")],
        "generator": np.random.default_rng(step),
        "random": random.Random(step),
        "arrays": [
            np.arange(step, dtype=dtype) for dtype in ("u1", "i8", "f2", "f4", "f8", "c8", "c16")
        ],
        "odd arrays": [
            np.array(float(step)),
            np.zeros((0, 3)),
            np.asfortranarray(np.arange(6.0).reshape(2, 3) + step),
            np.array([True, False]),
            np.array(["2026-11-22"], "datetime64[D]"),
            np.array([step], ">i4"),
        ],
        "tensors": [
            torch.full((2, 3), float(step)),
            torch.tensor([step, math.nan], dtype=torch.bfloat16),
            torch.tensor(step),
        ],
        "torch": [torch.Size([2, step]), torch.device("cpu"), torch.float16],
    }


def train(
    path: Path,
    stages: Sequence[Stage] = STAGES,
    *,
    fails_at: int = 0,
    now_s: float = 1_700_000_000.0,
    **options: Any,
) -> int:
    """Train; return the step that it went on from. Raises ValueError in the step `fails_at`."""
    clock = FakeClock(now_s)
    defaults: dict[str, Any] = {
        "save": every(steps=1),
        "keep": keep_last(99),
        "best": "max:score",
        "seed": 11,
    }
    with Run(path, clock=clock, on_stop="return", **(defaults | options)) as run:
        ring, rng, shuffler = np.zeros(RING, np.uint8), np.random.default_rng(5), random.Random(5)
        model = torch.nn.Linear(2, 2)
        run.attach(model=model, ring=ring, rng=rng, shuffler=shuffler)
        run.attach(still={"w": np.ones(5000)}, log=[])
        run.state.leaves = leaves(0)
        for stage in run.stages(stages):
            for step in stage:
                run.wait()
                clock.advance(60)
                if step == fails_at:
                    raise ValueError("planned")
                with torch.no_grad():
                    model.weight.fill_(step)
                    model.bias.copy_(torch.rand(2))
                ring[step] = step
                run.state.leaves = leaves(step)
                run.log(
                    score=-float((step - 2) ** 2),
                    numpy=float(np.random.random()),  # noqa: NPY002
                    python=random.random(),
                    torch=float(model.bias.detach().sum()),
                    attached=[float(rng.normal()), shuffler.random()][step % 2],
                    text=stage.name,
                    nothing=math.nan,
                )
        return 0 if run.resumed_from is None else run.resumed_from.step
