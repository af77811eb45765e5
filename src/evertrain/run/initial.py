"""`init_from`: weights for a fresh start, from another run or checkpoint.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Mapping
from pathlib import Path

from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.store import Store
from evertrain.core.errors import NotFoundError
from evertrain.core.rundir import open_run_dir
from evertrain.run.choose import read_path


def load_initial(source: str | Path) -> tuple[Mapping[str, Tree], str]:
    """Return the state that `source` names, by part, and its name for messages.

    Args:
        source: RUN, RUN@latest, RUN@best, RUN@STEP, or a checkpoint's directory.

    Raises:
        NotFoundError: There is no such run or checkpoint.
        CorruptError: It is damaged.
    """
    path = Path(source)
    if (path / "manifest.json").is_file():
        return read_path(path).state, str(path)
    name, _, which = str(source).partition("@")
    store = Store(open_run_dir(name).checkpoints)
    found = store.load(int(which) if which.isdigit() else which or "latest")
    if not found.state:
        raise NotFoundError(
            f"{source} holds no state.",
            "there is nothing to start from.",
            f"List its checkpoints with: evertrain ls {name}",
        )
    return found.state, str(source)
