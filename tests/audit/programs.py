"""Small trainings to audit: a healthy one, and six with one planted fault each."""

from typing import Final

_NUMPY: Final = """
import time
import numpy as np
from evertrain import Run
"""

# The first optimizer imports torch's compiler, which takes as long as torch itself: these
# programs start a dozen times, and compile nothing.
_TORCH: Final = """
import sys
import time
import types
import numpy as np
import torch
from evertrain import Run

torch._dynamo = sys.modules["torch._dynamo"] = types.ModuleType("torch._dynamo")
torch._dynamo.disable = lambda function, *_, **__: function
torch._dynamo.graph_break = lambda *_, **__: None
"""

RNG_NOT_ATTACHED: Final = (
    _NUMPY
    + """
class Env:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def observe(self):
        return self.rng.normal(size=4)

def main():
    env, weights = Env(), np.zeros(4)
    with Run("runs/train", total=40, seed=0) as run:
        run.attach(weights=weights)
        for _ in run:
            weights += 0.1 * (env.observe() - weights)
            time.sleep(0.005)

main()
"""
)

LOADER_STARTS_OVER: Final = (
    _NUMPY
    + """
def batches(data):
    while True:
        for start in range(0, len(data), 2):
            yield data[start : start + 2]

data = np.arange(200.0).reshape(100, 2)
weights = np.zeros(2)
loader = batches(data)
with Run("runs/train", total=40, seed=0) as run:
    run.attach(weights=weights)
    for _ in run:
        weights += 0.1 * (next(loader).mean(0) - weights)
        time.sleep(0.005)
"""
)

WALL_CLOCK: Final = (
    _NUMPY
    + """
def noise():
    return time.time() % 1.0

weights = np.zeros(2)
with Run("runs/train", total=40, seed=0) as run:
    run.attach(weights=weights)
    for _ in run:
        weights += noise()
        time.sleep(0.005)
"""
)

HASH_ORDER: Final = (
    _NUMPY
    + """
names = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"}
weights = np.zeros(2)
with Run("runs/train", total=40, seed=0) as run:
    run.attach(weights=weights)
    for _ in run:
        for name in names:
            weights *= 0.5
            weights += len(name)
        time.sleep(0.005)
"""
)

_LOOP: Final = """
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.95**epoch)
rng = np.random.default_rng(0)
with Run("runs/train", total=40, seed=0) as run:
    run.attach({attached})
    for _ in run:
        x = torch.from_numpy(rng.normal(size=(8, 4)).astype("float32"))
        loss = ((model(x) - x.sum(1, keepdim=True)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        run.log(loss=loss.item(), seconds=time.time())
        time.sleep(0.005)
"""

HEALTHY: Final = _TORCH + _LOOP.format(
    attached="model=model, optimizer=optimizer, scheduler=scheduler, rng=rng"
)
OPTIMIZER_NOT_ATTACHED: Final = _TORCH + _LOOP.format(
    attached="model=model, scheduler=scheduler, rng=rng"
)
SCHEDULER_STARTS_OVER: Final = _TORCH + _LOOP.format(
    attached="model=model, optimizer=optimizer, rng=rng"
)

NEVER_OPENS_A_RUN: Final = "print('trained')"
FAILS: Final = _NUMPY + "raise ArithmeticError('the loss is 7')"
CANNOT_RESUME: Final = (
    _NUMPY
    + """
with Run("runs/train", total=40, seed=0) as run:
    run.attach(weights=np.zeros(3 if run.resumed_from is None else 4))
    for _ in run:
        time.sleep(0.02)
"""
)
EMPTY: Final = (
    _NUMPY
    + """
with Run("runs/train", total=2) as run:
    for _ in run:
        pass
"""
)
ENDLESS: Final = (
    _NUMPY
    + """
from pathlib import Path
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
with Run("runs/train", seed=0) as run:
    for step in run:
        time.sleep(0.005)
        if step == 20:
            Path("is-training").touch()
"""
)
