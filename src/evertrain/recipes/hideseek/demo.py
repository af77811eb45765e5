"""`python -m evertrain.recipes.hideseek.demo RUN@best`: watch a checkpoint's policies play.

What it needs is looked for before a game is played: the packages, the run, a place for the film.

Layer: recipes. Imports its siblings, integrations, run, checkpoint and core.
"""

import io
import logging
import sys
from pathlib import Path
from typing import Any, Final

import click

from evertrain.core.errors import EvertrainError, NotFoundError, UsageError
from evertrain.core.fs import LOCAL_FS, Fs, write_atomic
from evertrain.core.refusal import refusing
from evertrain.core.rundir import RunDir, read_identity
from evertrain.integrations.extras import require
from evertrain.integrations.policy import load_policy
from evertrain.recipes.hideseek.card import target
from evertrain.recipes.hideseek.config import HideSeekConfig
from evertrain.run.initial import in_run

RECIPE: Final = "hideseek"
_FRAME_MS: Final = 100  # a step of the game is 0.1 s
_SIDE: Final = 350  # pixels


def demo(
    source: str, *, episodes: int = 5, seed: int = 0, out: Path | None = None, fs: Fs = LOCAL_FS
) -> list[dict[str, float]]:
    """Let the policies of a checkpoint play, without exploring.

    Args:
        source: RUN, RUN@best, RUN@STEP, or a checkpoint of the folder for other programs.
        episodes: Games, 1 or more.
        seed: Seed of their starts.
        out: GIF of all of them, or None.
        fs: Disk to write to.

    Returns:
        What each game came to: `seeker`, `hider` (return of one agent), `all`, `caught`, `steps`.

    Raises:
        NotFoundError: There is no such run or checkpoint, or no folder for the film.
        UsageError: It is a run of something else, or of none.
        CorruptError: It is damaged.
        MissingExtraError: Ray or the game is not installed.
        EvertrainError: The disk refused the film.

    Durability:
        As `write_atomic`: nobody ever sees half a film.
    """
    for module in ("ray.rllib", "mpe2", *([] if out is None else ["PIL"])):
        require(module, extra="hideseek")
    from evertrain.recipes.hideseek.env import ROLES, HideAndSeek
    from evertrain.recipes.hideseek.play import play_round

    if out is not None:
        _refuse_place(out)
    source = target(source)
    config = _config_of(source)
    logging.getLogger("ray._common.deprecation").setLevel(logging.ERROR)  # of its own classes
    policies = {role: load_policy(source, policy_id=role).predict for role in ROLES}
    mode = {} if out is None else {"render_mode": "rgb_array"}
    field = HideAndSeek({**config.game.model_dump(), **mode})
    frames: list[Any] = []
    found: list[dict[str, float]] = []

    def watch() -> None:
        if out is not None:
            frames.append(field.render())

    for index in range(episodes):
        found += play_round(policies, [field], [seed + index], watch)
    field.close()
    if out is not None:
        with refusing(out):
            write_atomic(out, _film(frames), fs=fs)
    return found


def _refuse_place(out: Path) -> None:
    """Return if a film can lie there.

    Raises:
        NotFoundError: There is no such folder.
        UsageError: It is one itself.
    """
    if not out.parent.is_dir():
        raise NotFoundError(
            f"there is no folder {out.parent}.",
            "--out names the film in it, which is written once all games are played.",
            f"Make it: mkdir -p {out.parent}",
        )
    if out.is_dir():
        raise UsageError(
            f"{out} is a folder.", "--out names the film itself.", f"--out {out / 'demo.gif'}"
        )


def _config_of(source: str) -> HideSeekConfig:
    store, _ = in_run(source)
    run_dir = RunDir(store.path.parent)
    identity = read_identity(run_dir)
    recipe = None if identity is None else identity.recipe
    if identity is None or recipe != RECIPE:
        raise UsageError(
            f"{run_dir.path} is a run of {recipe or 'no recipe'}.",
            "only policies that have learned this game can play it.",
            "Name a run of: evertrain train hideseek",
        )
    return HideSeekConfig.model_validate(identity.config)


def _film(frames: list[Any]) -> bytes:
    """Return pictures, uint8, shape (height, width, 3) each, as a GIF."""
    from PIL import Image

    pictures = [Image.fromarray(each).resize((_SIDE, _SIDE)).quantize(16) for each in frames]
    film = io.BytesIO()
    pictures[0].save(
        film, "GIF", save_all=True, append_images=pictures[1:], duration=_FRAME_MS, loop=0
    )
    return film.getvalue()


@click.command(epilog="Example: python -m evertrain.recipes.hideseek.demo hideseek@best")
@click.argument("source", metavar="RUN[@CHECKPOINT] | PATH")
@click.option("--episodes", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True, type=int, help="Of the starts.")
@click.option("--out", type=click.Path(path_type=Path), help="GIF to write.")
def main(*, source: str, episodes: int, seed: int, out: Path | None) -> None:
    """Let the policies of RUN's checkpoint play, and say what they won."""
    found = demo(source, episodes=episodes, seed=seed, out=out)
    for number, game in enumerate(found, start=1):
        print(
            f"Episode {number}: seeker reward {game['seeker']:.1f},"
            f" hider reward {game['hider']:.1f}, {game['steps']:.0f} steps"
        )
    from evertrain.recipes.hideseek.env import HIDER, SEEKER

    for role, name in ((SEEKER, "seeker"), (HIDER, "hider")):
        mean = sum(game[name] for game in found) / len(found)
        print(f"{role}: {mean:.1f} per episode")
    if out is not None:
        print(f"Film: {out}")


if __name__ == "__main__":
    try:
        main()
    except EvertrainError as error:
        print(f"evertrain: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
