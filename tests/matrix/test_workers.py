"""Data workers of real libraries are still at work when a stopped training saves."""

import signal
import sys

import pytest

from evertrain.core.errors import EXIT_STOPPED
from supervise.play import Stage

PYTHON = sys.executable
pytestmark = pytest.mark.slow

# Its state at each save is what its workers answer then.
TRAIN = """
    import time
    from pathlib import Path
    from evertrain import Run, every

    class Probe:
        def state_dict(self):
            told = workers_answer()
            Path("answers").write_text(told)
            return {"answers": len(told)}
        def load_state_dict(self, state):
            pass

    if __name__ == "__main__":
        begin()
        with Run("runs/here", total=10**6, save=every(steps=10**6)) as run:
            run.attach(probe=Probe())
            for step in run:
                Path("answers").unlink(missing_ok=True)
                workers_answer()
                time.sleep(0.01)
                if step == 3:
                    print("TRAINING", flush=True)
"""
DATA_LOADER = """
    import torch

    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            while True:
                yield 1.0

    def begin():
        global batches
        batches = iter(torch.utils.data.DataLoader(Endless(), batch_size=2, num_workers=2))

    def workers_answer():
        batch = next(batches)
        alive = sum(each.is_alive() for each in batches._workers)
        return f"{alive} workers, {len(batch)} samples"
"""
SUBPROC = """
    import gymnasium
    import numpy as np
    from stable_baselines3.common.vec_env import SubprocVecEnv

    def begin():
        global env
        env = SubprocVecEnv([lambda: gymnasium.make("CartPole-v1")] * 2, start_method="fork")
        env.reset()

    def workers_answer():
        observations, *_ = env.step(np.array([0, 1]))
        alive = sum(each.is_alive() for each in env.processes)
        return f"{alive} workers, {len(observations)} samples"
"""


@pytest.mark.parametrize("workers", [DATA_LOADER, SUBPROC], ids=["DataLoader", "SubprocVecEnv"])
@pytest.mark.parametrize(
    "how",
    [
        "ctrl-c",
        pytest.param("sigterm", marks=pytest.mark.soak),
        pytest.param("supervisor-killed", marks=pytest.mark.soak),
    ],
)
def test_workers_are_alive_at_the_graceful_save(stage: Stage, workers: str, how: str) -> None:
    """A signal to all would have killed them first; afterwards, they are gone."""
    stage.script(workers, TRAIN)
    play = stage.run("--", PYTHON, "train.py", on_terminal=how == "ctrl-c")
    play.wait_for("TRAINING", 60)
    if how == "ctrl-c":
        play.press_ctrl_c()
    else:
        play.send(signal.SIGTERM if how == "sigterm" else signal.SIGKILL)
    code = play.end(60)
    stage.wait_until(lambda: not play.orphans(), f"nobody: {play.orphans()}", 60)
    assert code == (-signal.SIGKILL if how == "supervisor-killed" else EXIT_STOPPED), play.text
    assert (stage.folder / "answers").read_text() == "2 workers, 2 samples"
    assert play.events("saved")
    assert play.events("stopped")
