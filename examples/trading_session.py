"""Play the session of docs/sessions/trading.md: a power cut after episode 250 of 300.

python examples/trading_session.py [--quick] [DIRECTORY]

It trains the recipe `trading` with the configuration of a guide, kills everything at once
in the middle of an episode, and types the same command again. With --quick it is shorter.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from evertrain.testing.processes import living

CONFIG: Final = """\
checkpoints:
  save_frequency: 10     # Save every 10 episodes
  max_keep: 5            # Keep last 5 checkpoints
  save_best: true        # Always save best model
  metric_name: total_profit  # Metric to track for "best"
  dir: models
"""
TRAIN: Final = "evertrain train trading --config config.yaml --verbose"
MARK: Final = "EVERTRAIN_SESSION"
_OFTEN: Final = re.compile(r"[Ee]pisode \d|Save checkpoint|Restarting in")
_FEW: Final = 2


@dataclass(frozen=True, slots=True)
class Scene:
    """One command.

    Attributes:
        typed: What is typed.
        cut_at: The power fails when a line begins so; None lets the command end.
    """

    typed: str
    cut_at: str | None = None


def main() -> None:
    """Play all scenes in one directory, and show what is on the screen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path, nargs="?", help="where to train")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    place = (args.directory or Path(tempfile.mkdtemp(prefix="evertrain-session-"))).resolve()
    (place / "config.yaml").write_text(CONFIG)
    for scene in scenes(is_quick=args.quick):
        print(f"$ {scene.typed}")
        lines, end = play(scene, place)
        print("\n".join(abridged(line.replace(f"{place}{os.sep}", "") for line in lines)))
        print(f"({end})\n", flush=True)


def scenes(*, is_quick: bool) -> list[Scene]:
    """Return what is typed, and where the power fails."""
    train, end, cut, more = TRAIN, 300, 253, 310
    if is_quick:
        train, end, cut, more = f"{TRAIN} --preset small --episodes 22", 22, 13, 24
    again = [Scene(train), Scene(f"{train} --episodes {more}")]
    return [
        Scene(train, cut_at=f"Episode {cut}/{end}"),
        Scene("ls models"),
        Scene(train),
        Scene("cat models/best_model.json"),
        Scene("evertrain ls trading"),
        *(() if is_quick else again),
        Scene(f"{train} --episodes {more} --resume models/model_ep{end // 10 * 10 - 10}.pt"),
    ]


def play(scene: Scene, place: Path) -> tuple[list[str], str]:
    """Run one command as it is typed there; return its lines, and how it ended."""
    mark = uuid.uuid4().hex
    program, *words = scene.typed.split()
    command = [sys.executable, "-m", "evertrain", *words]
    with subprocess.Popen(
        command if program == "evertrain" else [program, *words],
        cwd=place,
        env={**os.environ, MARK: mark, "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if scene.cut_at is not None and line.startswith(scene.cut_at):
                cut_power(mark)
                return lines, "the power fails"
    return lines, f"exit code {process.returncode}"


def cut_power(mark: str) -> None:
    """Kill all processes of a command, so that none of them sees another one die."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in living(mark):
            os.kill(pid, number)


def abridged(lines: Iterator[str]) -> Iterator[str]:
    """Yield lines; of many of a kind in a row, the first and the last."""
    for is_frequent, group in groupby(lines, lambda line: bool(_OFTEN.match(line))):
        found = list(group)
        yield from _ends(found) if is_frequent else found


def _ends(lines: Sequence[str]) -> list[str]:
    if len(lines) <= 2 * _FEW + 1:
        return list(lines)
    return [*lines[:_FEW], "[...]", *lines[-_FEW:]]


if __name__ == "__main__":
    main()
