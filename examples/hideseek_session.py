"""Play the session of docs/sessions/hideseek.md on a terminal of its own, and show it.

python examples/hideseek_session.py [--quick] [DIRECTORY]

It trains seekers and hider, kills the trainer with SIGKILL in the middle of an iteration,
lists the checkpoints, goes back to an earlier one, says yes when it is asked, finds the
best one with a script that knows nothing of evertrain, and lets it play.
"""

import argparse
import json
import os
import pty
import re
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

LIMIT_S: Final = 600.0
_CONTROL: Final = re.compile(r"\x1b\[[0-9;]*[mK]")

CONFIG: Final = """\
iterations: {iterations}
episodes_per_iteration: 10
game:
  episode_steps: 25
ppo:
  lr: 0.001
  minibatch_size: 250
  epochs: 4
  checkpoint_freq: {freq}  # Save every {freq} iterations
  checkpoint_dir: "./checkpoints"
"""

FIND_BEST: Final = """\
import json
from pathlib import Path

found = [json.loads(each.read_text()) for each in Path("checkpoints").glob("*/metadata.json")]
best = max(found, key=lambda each: each["reward_mean"])
print(f"Best checkpoint: Iteration {best['iteration']} with reward {best['reward_mean']:.2f}")
"""

# What shows on the screen, and what is then done with the terminal and the place of training.
Moment = tuple[str, Callable[[int, Path], object]]


def main() -> None:
    """Play all parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path, nargs="?", help="where to train")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    place = (args.directory or Path(tempfile.mkdtemp(prefix="evertrain-session-"))).resolve()
    unit = 2 if args.quick else 10
    (place / "config.yaml").write_text(CONFIG.format(iterations=6 * unit, freq=unit))
    (place / "find_best.py").write_text(FIND_BEST)
    for words, moments in session(unit):
        print("$ " + " ".join(words))
        code, text = play(words, moments, place)
        print(as_seen(text).replace(f"{place}{os.sep}", ""))
        print(f"(exit code {code})\n", flush=True)


def session(unit: int) -> list[tuple[Sequence[str], Sequence[Moment]]]:
    """Return what is typed, and what happens meanwhile.

    Args:
        unit: Iterations between two checkpoints; six times as many are trained.
    """
    crash = f"Training Iteration {3 * unit + unit // 2}/"
    train = ("evertrain", "train", "hideseek", "--config", "config.yaml", "--delay", "2")
    return [
        (train, [(crash, lambda _, place: kill_trainer(place))]),
        (("evertrain", "ls", "hideseek"), ()),
        (
            ("evertrain", "resume", "hideseek", "--from", str(5 * unit)),
            [("Go on?", lambda terminal, _: os.write(terminal, b"y\n"))],
        ),
        (("evertrain", "ls", "hideseek", "--detailed"), ()),
        (("python", "find_best.py"), ()),
        (("python", "-m", "evertrain.recipes.hideseek.demo", "hideseek@best"), ()),
    ]


def kill_trainer(place: Path) -> None:
    """Send SIGKILL to the process that trains: it has no time for anything."""
    lease = json.loads((place / "runs" / "hideseek" / "lock").read_text())
    os.kill(lease["pid"], signal.SIGKILL)


def play(words: Sequence[str], moments: Sequence[Moment], place: Path) -> tuple[int, str]:
    """Run one command as a person would.

    Args:
        words: What is typed.
        moments: What is done, and when, one after another.
        place: Where.

    Returns:
        Its exit code, and all that it wrote to the terminal.

    Raises:
        TimeoutError: It did not end.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place)
        command = [sys.executable, *(("-m",) if words[0] == "evertrain" else ())]
        command += words if words[0] == "evertrain" else words[1:]
        os.execve(sys.executable, command, {**os.environ, "COLUMNS": "150"})  # noqa: S606
    until_s = time.monotonic() + LIMIT_S
    waiting, text, seen = list(moments), "", 0
    while time.monotonic() < until_s:
        select.select([terminal], [], [], 1.0)
        try:
            text += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # nobody has it open any more
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text
        while waiting and (found := text.find(waiting[0][0], seen)) >= 0:
            seen = found + 1
            waiting.pop(0)[1](terminal, place)
    raise TimeoutError(f"no end after {LIMIT_S:g} s:\n{text}")


def as_seen(text: str) -> str:
    """Return what was written to a terminal as lines; of one drawn over and over, the last."""
    plain = _CONTROL.sub("", text).replace("\r\n", "\n")
    lines = [next(filter(None, reversed(line.split("\r"))), "") for line in plain.splitlines()]
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    main()
