"""A training that is only played: a real heartbeat, a clock that is turned, invented signs."""

from dataclasses import replace
from pathlib import Path

from evertrain.core.heartbeat import Heart, read_beat
from evertrain.core.journal import Journal
from evertrain.core.proc import Proc
from evertrain.supervise.hang.record import Hang
from evertrain.supervise.hang.silence import Activity, Signs
from evertrain.supervise.hang.watch import Watch
from evertrain.testing.clock import FakeClock


class Theatre:
    """One attempt after the other, watched once a second.

    Attributes:
        clock: Turned by `play`.
        signs: What the watcher sees, apart from beat and activity.
        is_busy: Whether the tree uses its processor.
        is_blocked: Whether it waits for a disk.
        has_pulse: Whether the interpreter runs threads.
        is_helped: Whether the trainer waits for a simulator that is busy.
        is_moving: Whether a silent loop is found elsewhere at each look.
        hangs: What the watch has found, each with the time since the last beat.
    """

    def __init__(self, folder: Path, *, timeout_s: float | None = None) -> None:
        """Launch the first attempt."""
        self.clock = FakeClock()
        self.journal = Journal(folder / "journal.jsonl", clock=self.clock)
        self._path, self._timeout_s = folder / "heartbeat", timeout_s
        self.attempt = 0
        self.launch()

    def launch(self) -> None:
        """Begin another attempt."""
        self.attempt += 1
        self._path.unlink(missing_ok=True)
        self.signs = Signs()
        self.is_busy, self.is_blocked, self.has_pulse, self.is_moving = True, False, True, False
        self.is_helped = False
        self.hangs: list[tuple[Hang, float]] = []
        self.output_bytes = self._moves = self.step = 0
        self._cpu_s = self._simulator_s = 0.0
        self._heart: Heart | None = None
        self._beat_s = self.clock.monotonic_s()
        self.watch = Watch(
            self, self.journal, self.attempt, timeout_s=self._timeout_s, clock=self.clock
        )

    def end(self) -> None:
        """End the attempt."""
        self.watch.end(was_ended=bool(self.hangs))

    def beat(self, phase: str, step: int | None = None) -> None:
        """Let the trainer beat."""
        if self._heart is None:
            self._heart = Heart(self._path, 7, clock=self.clock)
        self.step = self.step if step is None else step
        self._heart.beat(self.step, phase)
        self._beat_s = self.clock.monotonic_s()
        self._moves = 0

    def leave(self) -> None:
        """Let the main thread end."""
        assert self._heart is not None
        self._heart.leave()

    def play(self, seconds: float) -> list[Hang]:
        """Let time pass in silence, and return the hangs that were found."""
        found = len(self.hangs)
        while seconds > 0:
            is_long = seconds > 3600
            self.watch.period_s = 20.0 if is_long else 1.0  # of hours, a look each minute will do
            step_s = min(60.0 if is_long else 3.0 if seconds > 300 else 1.0, seconds)
            self.clock.advance(step_s)
            seconds -= step_s
            self._cpu_s += step_s if self.is_busy else 0.001
            self._simulator_s += step_s if self.is_helped else 0.0
            if self._heart is not None and self.has_pulse:
                self._moves += self.is_moving
                self._heart.pulse(self._moves)
            self._look()
        return [hang for hang, _ in self.hangs[found:]]

    def steps(self, count: int, each_s: float, *, name: str = "step") -> list[Hang]:
        """Play so many steps."""
        found: list[Hang] = []
        for _ in range(count):
            found += self.play(each_s)
            self.beat(name, self.step + 1)
        return found

    def begin(self, *, launch_s: float = 3.0, first_s: float = 2.0, step_s: float = 1.0) -> None:
        """Play an ordinary start: launch, setup, restore, five first steps, twenty more."""
        assert self.play(launch_s) == []
        for phase in ("setup", "restore", "first"):
            self.beat(phase)
        assert self.play(first_s) == []
        self.beat("first", 1)
        assert self.steps(3, step_s, name="first") == []
        assert self.steps(20, step_s) == []

    def _look(self) -> None:
        hang = self.watch.look(self.output_bytes)
        if hang is not None:
            self.hangs.append((hang, self.clock.monotonic_s() - self._beat_s))
            row = {"kind": hang.kind, "step": hang.step, "evidence": hang.evidence}
            self.journal.record("hang", row, attempt=self.attempt)

    # ---- what the watch sees ----------------------------------------------------------

    @property
    def trainer(self) -> Proc | None:
        """Nobody who could be asked for stacks."""
        return None

    def look(self, output_bytes: int, *, is_close: bool) -> Signs:
        """See `Sight.look`."""
        beat = read_beat(self._path)
        now_s = self.clock.monotonic_s()
        activity = Activity(
            at_s=now_s,
            cpu_s=self._cpu_s + self._simulator_s,
            own_cpu_s=self._cpu_s,
            io_bytes=0,
            pids=frozenset({7, 8}),
            is_blocked=self.is_blocked,
        )
        is_frozen = beat is not None and beat.pulse_s is not None and now_s - beat.pulse_s > 10
        return replace(
            self.signs,
            beat=beat,
            output_bytes=output_bytes,
            activity=activity if is_close else None,
            has_trainer=beat is not None,
            is_frozen=is_frozen,
        )

    def tree(self) -> list[str]:
        """See `Sight.tree`."""
        return ["python (pid 7)"]
