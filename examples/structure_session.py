"""Play the session of docs/sessions/structure.md on a terminal of its own, and show it.

python examples/structure_session.py [DIRECTORY]

It trains the recipe `structure`, much shorter than it is, presses Ctrl+C in stage 2,
looks at what is there, starts it again to the end, and goes back to the end of stage 1.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from crashes_session import Cue, as_seen, play

LIMIT_S: Final = 1200.0  # of one command, on a busy machine
SHORT: Final = """\
ppo: {n_steps: 100, batch_size: 200, n_epochs: 4}
checkpoints: {every_steps: 400}
stages:
  - {magnitude: 4.5, pga_g: 0.25, max_force_kn: 50, steps: 4000}
  - {magnitude: 5.7, pga_g: 0.35, max_force_kn: 100, steps: 4000}
  - {magnitude: 7.4, pga_g: 0.75, max_force_kn: 150, steps: 4000}
  - {magnitude: 8.4, pga_g: 0.90, max_force_kn: 150, steps: 4000}
"""
# What shows on the screen before Ctrl+C is pressed: stage 2 has begun, and has come somewhere.
IN_STAGE_2: Final[Sequence[Cue]] = [("STAGE 2/4", "steps/s")]
_TRAIN: Final = ("train", "structure", "--config", "short.yaml", "--exports", "models")
COMMANDS: Final[Sequence[tuple[Sequence[str], Sequence[Cue]]]] = (
    (_TRAIN, IN_STAGE_2),
    (("ls", "structure"), ()),
    (_TRAIN, ()),
    (("export", "structure@best", "--format", "sb3", "--out", "best.zip"), ()),
    (("resume", "structure", "--from", "stage:1", "--yes"), IN_STAGE_2),
)


def main() -> None:
    """Play all parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path, nargs="?", help="where to train")
    args = parser.parse_args()
    place = (args.directory or Path(tempfile.mkdtemp(prefix="evertrain-session-"))).resolve()
    (place / "short.yaml").write_text(SHORT)
    for words, cues in COMMANDS:
        print("$ evertrain " + " ".join(words))
        code, text = play(words, cues, place, LIMIT_S)
        shown = as_seen(text).replace(f"{place}{os.sep}", "").replace(sys.executable, "python")
        print(shown)
        print(f"(exit code {code})\n", flush=True)


if __name__ == "__main__":
    main()
