"""Twenty deaths in a row leave no more than one does."""

import random
import shutil
from pathlib import Path

from evertrain.testing import CutFs, PowerCut, everything_on
from power.judge import check_goes_on
from power.program import train
from power.scenarios import RUN
from support import FAST, another_process

DEATHS = 20
UNTIL = 4


def test_twenty_deaths_in_a_row(tmp_path: Path) -> None:
    """Each starts after the last one's death; what is unfinished never piles up."""
    chance, most = random.Random(1), 0
    for _ in range(DEATHS):
        disk = CutFs(FAST, cut_before=chance.randrange(20, 90), is_torn=chance.random() < 0.5)
        try:
            with another_process(disk):
                train(tmp_path / RUN, UNTIL)
        except PowerCut:
            unfinished = [each for each in tmp_path.rglob("*") if ".tmp-" in each.name]
            most = max(most, len(unfinished))
        else:
            shutil.rmtree(tmp_path / RUN)
    assert 0 < most <= 12, "one unfinished checkpoint, or one file"
    with everything_on(FAST):
        check_goes_on(tmp_path / RUN, UNTIL)
