"""A real training that writes more than a piece holds."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evertrain.monitor.logs import list_pieces, read_piece
from supervise.play import Stage

pytestmark = pytest.mark.slow

FLOOD = """
    import hashlib, os, sys
    seen = hashlib.sha256()
    def write(data):
        seen.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(1, view):]
    write(b"x" * 40_000_000 + b"\\n")
    write("".join(f"step {n} \\u00e9\\n" for n in range(1_200_000)).encode())
    open("digest", "w").write(seen.hexdigest())
"""


def test_every_byte_over_cuts(stage: Stage) -> None:
    """A line of 40 MB and a million short ones: all there, in pieces, the crash's cause too."""
    stage.script(FLOOD, "raise RuntimeError('the simulator is gone')")
    play = stage.run("--max-crashes", "1", "--", sys.executable, "train.py", is_read=False)
    stage.wait_until(lambda: play.process.poll() is not None, "the end", 60.0)
    play.is_read.set()
    assert play.end() == 20

    pieces = list_pieces(play.run_dir.logs)
    output = b"".join(block for each in pieces for block in read_piece(each))
    end = output.index(b"Traceback (most recent call last):")
    written = (stage.folder / "digest").read_text()
    assert hashlib.sha256(output[:end]).hexdigest() == written
    assert len(pieces) >= 3
    crash = json.loads(play.run_dir.crash(1).read_text())
    assert crash["exception"] == "RuntimeError: the simulator is gone"
    assert crash["lost_log_bytes"] == 0
    assert "step 1199999 \u00e9" in crash["last_lines"]


# What the shim, a process of its own, takes for ten seconds.
IMPATIENT = """
import sys
if "evertrain.supervise.shim" in sys.orig_argv:
    from evertrain.supervise.logs import writer
    writer.STATE_EVERY_S = 0.2
"""


def test_a_bar_that_stands_still_is_in_the_log(stage: Stage) -> None:
    """The shim writes the state of a drawing down though no more output wakes it."""
    (stage.folder / "sitecustomize.py").write_text(IMPATIENT)
    stage.script(
        """
        import pathlib, time
        print("begin\\n\\r 49%\\r 50%", end="", flush=True)
        while not pathlib.Path("go").exists():
            time.sleep(0.02)
        print("\\r100%")
        """
    )
    places = [str(stage.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {"PYTHONPATH": os.pathsep.join(places)}
    play = stage.run("--", sys.executable, "train.py", env=env)
    play.wait_for("50%")
    log = play.run_dir.log(1)
    stage.wait_until(lambda: log.read_bytes() == b"begin\n 50%", "the state of the bar")
    (stage.folder / "go").touch()
    assert play.end() == 0
    assert log.read_bytes() == b"begin\n 50%\r100%\n"
    assert "\r 49%\r 50%" in play.text, "the screen shows all of it"


def test_tail_with_a_capital_f_follows_over_a_cut(tmp_path: Path) -> None:
    """The tool that is on every machine, and follows the name."""
    tail = shutil.which("tail")
    if tail is None or b"GNU" not in subprocess.run(
        [tail, "--version"], capture_output=True, check=False
    ).stdout:  # fmt: skip
        pytest.skip("NOT TESTED, no GNU tail here")
    code = """
import sys
from pathlib import Path
from evertrain.supervise.logs.writer import LogWriter
writer = LogWriter(Path(sys.argv[1]), piece_bytes=500)
for line in sys.stdin.buffer:
    writer.write(line)
"""
    log = tmp_path / "attempt-0001.log"
    log.write_bytes(b"")
    with (
        subprocess.Popen(
            [tail, "-F", "-s", "0.05", str(log)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as reader,
        subprocess.Popen([sys.executable, "-c", code, str(log)], stdin=subprocess.PIPE) as writer,
    ):
        assert reader.stdout is not None
        assert writer.stdin is not None
        try:
            for number in range(30):  # one at a time: tail sees each file before it goes
                line = b"line %d %s\n" % (number, b"." * 50)
                writer.stdin.write(line)
                writer.stdin.flush()
                assert reader.stdout.readline() == line
        finally:
            writer.stdin.close()
            reader.kill()
    assert len(list_pieces(tmp_path)) > 2
