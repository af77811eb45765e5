"""Train a small recipe, kill it three times, and prove that nothing was lost.

    python examples/quickstart.py [evertrain train options ...]

Two trainings with the same seed run side by side. One is left alone. The other
one is killed with SIGKILL: once in the middle of a save, twice at random
moments. In the end both must hold the same bits.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from evertrain.checkpoint.manifest import state_digest
from evertrain.checkpoint.store import Store
from evertrain.core import lock, proc
from evertrain.core.heartbeat import read_beat
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir, read_identity
from evertrain.monitor.metrics import read_metrics
from evertrain.monitor.plot import learning_curves
from evertrain.monitor.timesheet import account

HOME = Path("runs/quickstart")
KILLS = 3
CURVES = [
    "exam/mean_reduction_percent",
    "exam/reduction_percent",
    "exam/rms_force_kn",
    "rollout/ep_rew_mean",
    "train/explained_variance",
    "train/learning_rate",
]
EVERTRAIN = [sys.executable, "-m", "evertrain"]


def main(options: list[str]) -> int:
    """Run the whole demonstration. Return 0 if both trainings end with the same bits."""
    victim, twin = RunDir(HOME / "killed"), RunDir(HOME / "twin")
    if HOME.exists():
        shutil.rmtree(HOME)
    HOME.mkdir(parents=True)
    print(f"Training twice, side by side: {twin.path} is left alone, {victim.path} is killed.\n")
    with (HOME / "twin.log").open("wb") as log:
        other = subprocess.Popen(_train(twin, options), stdout=log, stderr=log)
        mine = subprocess.Popen(_train(victim, options))
        try:
            kills = Killer(victim).run(lambda: mine.poll() is not None)
            if mine.wait() != 0:
                other.terminate()
            codes = mine.wait(), other.wait()
        except KeyboardInterrupt:
            codes = mine.wait(), other.wait()
            print("Interrupted.")
            return max(codes)
    if codes != (0, 0):
        print(f"The trainings ended with {codes}; see {HOME / 'twin.log'}.")
        return 1
    return report(victim, twin, kills)


def _train(run_dir: RunDir, options: list[str]) -> list[str]:
    chosen = options or ["--preset", "small"]
    where = ["--run", str(run_dir.path), "--delay", "1"]
    return [*EVERTRAIN, "train", "structure", *chosen, *where]


class Killer:
    """Sends SIGKILL to a training: first in the middle of a save, then at random moments."""

    def __init__(self, victim: RunDir) -> None:
        """Choose the moments; they differ each time."""
        self._victim = victim
        self._rng = random.Random()
        self._parts = [0.0, self._rng.uniform(0.2, 0.5), self._rng.uniform(0.55, 0.9)]
        self.kills: list[str] = []

    def run(self, is_over: Callable[[], bool]) -> list[str]:
        """Kill until there were enough kills, or the training is over. Return where it hit."""
        while len(self.kills) < KILLS and not is_over():
            attempt = self._wait_for_life(is_over)
            if attempt is None:
                break
            moment = self._wait_for_save if not self.kills else self._wait_at_random
            where = moment(attempt, is_over)
            if where and self._kill(attempt):
                self.kills.append(where)
                print(f"\n\n*** SIGKILL {len(self.kills)} of {KILLS}: {where} ***\n", flush=True)
        return self.kills

    def _wait_for_life(self, is_over: Callable[[], bool]) -> lock.Owner | None:
        """Wait until a training owns the run and has saved something of its own."""
        while not is_over():
            owner = lock.live_owner(self._victim.lock)
            saved = Journal(self._victim.journal).last("saved")
            if owner is not None and saved is not None and saved["attempt"] == owner.attempt:
                return owner
            time.sleep(0.05)
        return None

    def _wait_for_save(self, owner: lock.Owner, is_over: Callable[[], bool]) -> str:
        """Return as soon as a half-written checkpoint is on the disk."""
        while not is_over() and owner.is_alive:
            if any(self._victim.checkpoints.glob(".tmp-*")):
                return "in the middle of a save"
            time.sleep(0.0005)
        return ""

    def _wait_at_random(self, owner: lock.Owner, is_over: Callable[[], bool]) -> str:
        part = self._parts[len(self.kills)]
        while not is_over() and owner.is_alive:
            beat = read_beat(self._victim.heartbeat)
            if beat is not None and beat.step >= part * self._total_steps():
                time.sleep(self._rng.uniform(0.0, 2.0))
                return f"at a random moment, {100 * part:.0f} % of the way"
            time.sleep(0.01)
        return ""

    def _total_steps(self) -> int:
        identity = read_identity(self._victim)
        stages = identity.config["stages"] if identity else []
        return sum(stage["steps"] for stage in stages)

    def _kill(self, owner: lock.Owner) -> bool:
        return proc.send(proc.Proc(owner.pid, owner.start_time), signal.SIGKILL)


def report(victim: RunDir, twin: RunDir, kills: list[str]) -> int:
    """Print what happened to the killed training, and whether it mattered."""
    spent = account(Journal(victim.journal).events())
    other_s = spent.total_s - spent.useful_s - spent.replayed_s
    print(
        f"\nTime: useful {spent.useful_s:.0f} s, done twice {spent.replayed_s:.0f} s, "
        f"waiting and starting {other_s:.0f} s "
        f"(goodput {100 * spent.goodput:.0f} % with {len(kills)} kills)\n"
    )
    subprocess.run([*EVERTRAIN, "ls", str(victim.path)], check=False)
    picture = victim.path / "plots" / "learning.png"
    learning_curves(victim, picture, CURVES)
    print(f"\nLearning curves: {picture}")
    return prove(victim, twin, kills)


def prove(victim: RunDir, twin: RunDir, kills: list[str]) -> int:
    """Compare the last checkpoints, leaf by leaf, and every live row of the metrics."""
    mine, other = Store(victim.path).load("latest"), Store(twin.path).load("latest")
    one, two = state_digest(mine.manifest), state_digest(other.manifest)
    leaves = sum(len(each) for each in mine.manifest.arrays.values())
    where = f"step {mine.info.step:,}, {leaves} arrays, {mine.info.size_bytes / 1e3:.0f} kB"
    rows = _rows(victim)
    if one != two or mine.info.step != other.info.step or rows != _rows(twin):
        print(f"DIFFERENT: {one[:16]} and {two[:16]} at {where}")
        return 1
    if len(kills) < KILLS:
        print(f"Only {len(kills)} of {KILLS} kills hit: the training was over too soon.")
        return 1
    print(
        f"bit-exact: {one[:16]} after {len(kills)} kills equals the twin's "
        f"({where}; {len(rows)} rows of metrics)"
    )
    return 0


def _rows(run_dir: RunDir) -> list[dict[str, object]]:
    """Return the live metrics without what tells attempts apart."""
    unlike = {"time", "attempt"}
    return [{k: v for k, v in row.items() if k not in unlike} for row in read_metrics(run_dir)]


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
