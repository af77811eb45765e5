"""A supervised training that faults are done to, and the person who starts it again."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from evertrain.core.errors import EXIT_LOCKED, EXIT_OK, EXIT_STOPPED
from evertrain.core.heartbeat import read_beat
from evertrain.core.journal import Row, read_lines
from evertrain.core.rundir import RunDir
from evertrain.testing.chaos import Chaos, Fault

TRAINING: Final = Path(__file__).with_name("training.py")
LIMIT_S: Final = 300.0  # until a fault is survived
_LOOK_S: Final = 0.02
_EXPECTED: Final = {EXIT_STOPPED, -9}  # Ctrl+C, and a killed supervisor


class Victim:
    """One run under `evertrain run`, started again whenever its supervisor is gone.

    Attributes:
        run_dir: The run.
        chaos: Does the harm.
        is_over: Whether the training is complete.
        surprises: Ends of supervisors that nobody wanted.
    """

    def __init__(self, path: Path, total: int, seed: int) -> None:
        """Start nothing yet."""
        self.run_dir = RunDir(path)
        self.chaos = Chaos(path, seed=seed)
        self.is_over = False
        self.surprises: list[str] = []
        self._train = [sys.executable, str(TRAINING), str(path), str(total)]
        self._log = path.with_suffix(".log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def tend(self) -> None:
        """Do what a person does: start the supervisor again if it is gone, and look."""
        code = self._process.poll() if self._process is not None else -9
        if code is None or self.is_over:
            return
        if code == EXIT_OK:
            self.is_over = True
            return
        if code not in _EXPECTED:
            self.surprises.append(f"evertrain run ended with {code}")
        self._process = self._start(self._supervised)

    def comes_further(self, than: int, resumes: int = 0) -> bool:
        """Wait until the training has passed a step, or is complete; say whether it has.

        Args:
            than: The step.
            resumes: How often it must have been resumed by then.
        """
        deadline_s = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline_s:
            self.tend()
            if self.is_over:
                return True
            if len(self.events("resumed")) >= resumes and self.is_training and self.step > than:
                return True
            time.sleep(_LOOK_S)
        return False

    def has_time(self, until_s: float) -> bool:
        """Say whether it still trains, and that moment of the monotonic clock is not there yet."""
        return not self.is_over and time.monotonic() < until_s

    def inflict(self, fault: Fault) -> str:
        """Do harm once there is something to harm; say what it did, "" if nothing could be hit."""
        for _ in range(50):
            done = self.chaos.inflict(fault)
            if done.is_hit:
                return done.what
            time.sleep(_LOOK_S)
            self.tend()
        return ""

    def refuses(self, *, is_supervised: bool) -> str | None:
        """Start a second one beside it; return None if that is refused, else what happened."""
        rival = self._start(self._supervised if is_supervised else self._train)
        try:
            code: object = rival.wait(60)
        except subprocess.TimeoutExpired:
            code = "nothing: it goes on beside the first"
            rival.kill()
            rival.wait()
        return None if code == EXIT_LOCKED else f"the second one ended with {code}"

    def clear_quarantine(self) -> int:
        """Do what a person does: look at what is damaged, and throw it away. Return how many."""
        shelf = self.run_dir.checkpoints / "quarantine"
        found = [each for each in shelf.glob("0*") if each.is_dir()]
        if found:
            shutil.rmtree(shelf)
        return len(found)

    def end(self) -> None:
        """Leave nothing."""
        self.chaos.close()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)
        self._log.close()

    @property
    def is_training(self) -> bool:
        """Whether a live trainer has given a sign of life."""
        owner, beat = self.chaos.owner("trainer"), read_beat(self.run_dir.heartbeat)
        return owner is not None and beat is not None and owner.pid == beat.pid and beat.step > 0

    @property
    def step(self) -> int:
        """The last step that the trainer told of."""
        beat = read_beat(self.run_dir.heartbeat)
        return beat.step if beat is not None else 0

    @property
    def newest(self) -> int:
        """Step of the newest checkpoint."""
        names = [each.name for each in self.run_dir.checkpoints.glob("0*")]
        return max(map(int, names), default=0)

    def events(self, *names: str) -> list[Row]:
        """Return the journal's events of these names."""
        rows = read_lines(self.run_dir.journal).rows
        return [row for row in rows if row.get("event") in names]

    @property
    def _supervised(self) -> list[str]:
        options = ["--run", str(self.run_dir.path), "--max-crashes", "0", "--delay", "0.3"]
        return [sys.executable, "-m", "evertrain", "run", *options, "--", *self._train]

    def _start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
            start_new_session=True,
        )
