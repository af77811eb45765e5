"""Install every extra alone, in an environment of its own, as a user would, and try it.

    python tests/install [EXTRA...] [--latest]

Each gets a new virtual environment, `pip install evertrain[EXTRA]`, `pip check`,
and a small piece of what it is for. One that fails is shown with its last lines;
the exit code is 1 then. Needs the network, about a minute and 1 GB an extra.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

REPO = Path(__file__).parents[2]
TORCH = "torch==2.13.0"  # first: a bare `torch` would bring several GB of CUDA along
PATIENCE_S = 900

SB3 = """
from stable_baselines3 import A2C
from evertrain import Run
from evertrain.integrations.sb3 import learn
with Run("runs/first", total=64, seed=0) as run:
    learn(run, A2C("MlpPolicy", "CartPole-v1", device="cpu"))
print(run.step)
"""
PLOT = """
from pathlib import Path
from evertrain import Run
from evertrain.monitor.plot import learning_curves
with Run("runs/first", total=3) as run:
    for step in run:
        run.log(loss=1 / step)
print(learning_curves(run.path, Path("curves.png")))
"""
TORCH_CODE = """
import torch
from evertrain import Run
model = torch.nn.Linear(2, 1)
with Run("runs/first", total=3, seed=0) as run:
    run.attach(model=model)
    for step in run:
        run.log(x=float(model.weight.sum()))
"""
GYMNASIUM = """
import gymnasium
from evertrain import Run
env = gymnasium.make("CartPole-v1")
with Run("runs/first", total=3, seed=0) as run:
    run.attach(env=env)
    env.reset(seed=0)
    for step in run:
        env.step(0)
"""
TRY = {
    "": "import evertrain.cli.main; from evertrain import Run, Store",
    "torch": TORCH_CODE,
    "sb3": SB3,
    "rllib": "import evertrain.integrations.rllib",
    "plot": PLOT,
    "archive": "import zstandard",
    "notify": "import apprise",
    "gymnasium": GYMNASIUM,
    "game": "import evertrain.integrations.browser, playwright.sync_api",
    "testing": "import evertrain.testing, pytest, hypothesis",
}
RECIPES = ("structure", "trading", "atc", "hideseek", "openscope")
BUILT = """
from evertrain import recipes
import importlib
recipe = recipes.find({name!r})
importlib.import_module(recipe.entry.partition(":")[0])
recipe.config_model.model_validate(dict(recipe.preset_named("small").values))
"""


def main() -> int:
    """Try the extras that are asked for, and tell of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", nargs="*", help="which; all but bench and dev by default")
    parser.add_argument("--latest", action="store_true", help="without constraints.txt")
    asked = parser.parse_args()
    known = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    extras = asked.extras or ["", *(name for name in known if name not in {"bench", "dev"})]
    failed = [extra for extra in extras if not attempt(extra, is_latest=asked.latest)]
    return 1 if failed else 0


def attempt(extra: str, *, is_latest: bool) -> bool:
    """Install one extra alone and try it; say how it went."""
    place = Path(tempfile.mkdtemp(prefix=f"evertrain-{extra or 'base'}-"))
    began_s = time.monotonic()
    try:
        problem = _problem(extra, place, is_latest=is_latest)
        size_mb = sum(f.lstat().st_size for f in place.rglob("*") if f.is_file()) / 1e6
    finally:
        shutil.rmtree(place, ignore_errors=True)
    verdict = "works" if problem is None else "FAILS"
    title = f"[{extra}]" if extra else "base"
    print(
        f"{title:<12} {verdict}  {size_mb:6.0f} MB  {time.monotonic() - began_s:4.0f} s", flush=True
    )
    if problem is not None:
        print(problem, flush=True)
    return problem is None


def _problem(extra: str, place: Path, *, is_latest: bool) -> str | None:
    python = place / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    chosen = [] if is_latest else ["-c", str(REPO / "constraints.txt")]
    target = f"evertrain[{extra}] @ file://{REPO}" if extra else f"evertrain @ file://{REPO}"
    work = place / "work"
    work.mkdir()
    steps = [
        [sys.executable, "-m", "venv", str(place)],
        *([[*pip, "install", "-q", *chosen, TORCH]] if _needs_torch(extra) else []),
        [*pip, "install", "-q", *chosen, target],
        [*pip, "check"],
        *([str(python), "-c", code] for code in _tries(extra)),
    ]
    for command in steps:
        done = subprocess.run(
            command, cwd=work, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        if done.returncode:
            return f"{command[1:5]}:\n" + "\n".join((done.stdout + done.stderr).splitlines()[-15:])
    return None


def _needs_torch(extra: str) -> bool:
    return extra not in {"", "plot", "archive", "notify", "testing", "gymnasium"}


def _tries(extra: str) -> list[str]:
    several = {"recipes": RECIPES[:-1], "all": RECIPES}
    names = several.get(extra, (extra,) if extra in RECIPES else ())
    found = [BUILT.format(name=name) for name in names]
    return found or [TRY[extra]]


if __name__ == "__main__":
    sys.exit(main())
