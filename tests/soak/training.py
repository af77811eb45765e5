"""A small training with everything that gets lost when it is not saved.

    python training.py RUN TOTAL

A network learns, with Adam, from a buffer that fills up as it goes; what it draws, an
epsilon that decays, and two stages with a learning rate of their own are all state.
"""

import random
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from evertrain import EvertrainError, Run, Stage, every, keep_any, keep_best, keep_every, keep_last

ROWS, WIDTH, NEW, BATCH = 16_384, 64, 8, 256
SAVE_EVERY = 100


def train(path: str, total: int) -> None:
    """Train to the end."""
    torch.set_num_threads(1)
    keep = keep_any(keep_last(4), keep_best(1), keep_every(steps=max(1, total // 20)))
    with Run(path, seed=11, save=every(steps=SAVE_EVERY), keep=keep, best="min:mean_loss") as run:
        net = torch.nn.Sequential(
            torch.nn.Linear(WIDTH, 128), torch.nn.Tanh(), torch.nn.Linear(128, WIDTH)
        )
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        buffer, chance = np.zeros((ROWS, WIDTH), np.float32), np.random.default_rng(12)
        losses: deque[float] = deque(maxlen=200)
        run.attach(net=net, optimizer=optimizer, buffer=buffer, chance=chance, losses=losses)
        run.state.epsilon, run.state.filled = 1.0, 0

        def apply(overrides: Mapping[str, Any]) -> None:
            for group in optimizer.param_groups:
                group["lr"] = overrides["lr"]

        first = Stage("fast", steps=total // 2, overrides={"lr": 1e-3})
        second = Stage("fine", steps=total - total // 2, overrides={"lr": 1e-4})
        for stage in run.stages([first, second], apply=apply):
            for step in stage:
                at = run.state.filled % ROWS
                buffer[at : at + NEW] = chance.normal(size=(NEW, WIDTH))
                run.state.filled += NEW
                batch = buffer[chance.integers(0, min(ROWS, run.state.filled), BATCH)]
                noise = torch.randn(BATCH, WIDTH) * run.state.epsilon * random.random()
                x = torch.from_numpy(batch)
                loss = ((net(x + noise) - x.roll(1, dims=1)) ** 2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.state.epsilon *= 0.9995
                losses.append(loss.item())
                mean = sum(losses) / len(losses)
                run.log(loss=loss.item(), mean_loss=mean if step % SAVE_EVERY == 50 else None)


if __name__ == "__main__":
    try:
        train(sys.argv[1], int(sys.argv[2]))
    except EvertrainError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
