"""evertrain and its peers behind one protocol, each as its own manual says to use it.

`save` is what the loop waits for; `wait` returns when the checkpoint is as
complete as the library makes it. Nothing is set for anybody that a user does
not get without asking, save what the titles say.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from evertrain import Run, every, keep_last
from measure import sync_tree
from work import Size, State, change, tensors_of, warm_adam

EVERTRAIN, TORCH, TORCH_SYNC = "evertrain", "torch.save", "torch.save + fsync"


class Peer(Protocol):
    """A way to write checkpoints."""

    def save(self, path: Path) -> None:
        """Save the state at `path`; return when the loop may go on."""

    def wait(self) -> None:
        """Return when the newest checkpoint is complete."""

    def load(self, path: Path) -> torch.Tensor | None:
        """Return the first parameter of the checkpoint at `path`; None where nobody asks."""

    def close(self) -> None:
        """Give everything back."""


class Sync:
    """A peer whose `save` returns when all is done."""

    def __init__(self, state: State, place: Path) -> None:
        """Know what to save; `place` is a directory for those that want one."""
        self.state, self.place = state, place

    def change(self) -> None:
        """Change every element of what is saved."""
        self.state.change()

    def wait(self) -> None:
        """See `Peer.wait`."""

    def load(self, path: Path) -> torch.Tensor | None:
        """See `Peer.load`."""
        del path
        return None

    def close(self) -> None:
        """See `Peer.close`."""


class Evertrain(Sync):
    """`for step in run`, saving at each step; the boundary is what the loop waits for."""

    def __init__(self, state: State, place: Path, *, keep: int | None = None) -> None:
        """Begin the first step."""
        super().__init__(state, place)
        self.run = Run(place / "run", save=every(steps=1), keep=keep_last(keep) if keep else None)
        self.run.attach(model=state.model, optimizer=state.optimizer)
        self._steps = iter(self.run)
        next(self._steps)

    def save(self, path: Path) -> None:
        """See `Peer.save`; the run knows itself where to."""
        del path
        next(self._steps)

    def wait(self) -> None:
        """See `Peer.wait`."""
        wait_for(self.run)

    def load(self, path: Path) -> torch.Tensor:
        """See `Peer.load`."""
        del path
        found = self.run.store.load("latest").state["model"]["0.weight"]
        return torch.as_tensor(found)

    def close(self) -> None:
        """See `Peer.close`."""
        self.run.close()


def wait_for(run: Run) -> None:
    """Return when every checkpoint of the run is durable."""
    wait = getattr(run, "wait", None)
    if wait is not None:
        wait()


class TorchSave(Sync):
    """What most programs do: left in the page cache, gone with the power."""

    def save(self, path: Path) -> None:
        """See `Peer.save`."""
        torch.save(self.state.tree(), path)


class TorchSaveSync(TorchSave):
    """The same, and then on the disk."""

    def save(self, path: Path) -> None:
        """See `Peer.save`."""
        super().save(path)
        sync_tree(path)


class Safetensors(Sync):
    """`safetensors.torch.save_file`, then fsync."""

    def save(self, path: Path) -> None:
        """See `Peer.save`."""
        from safetensors.torch import save_file

        save_file(flat(self.state), path)
        sync_tree(path)


class StableBaselines3(Sync):
    """`model.save` of a PPO whose policy has about as many parameters; its own state."""

    def __init__(self, state: State, place: Path) -> None:
        """Build a policy of the same layers, half of them for the value function."""
        super().__init__(state, place)
        from stable_baselines3 import PPO

        first = next(state.model.parameters())
        layers, width = len(list(state.model.children())), first.shape[0]
        half = [width] * (layers // 2)
        self.model = PPO(
            "MlpPolicy",
            _world(width),
            n_steps=2,
            batch_size=2,
            device="cpu",
            policy_kwargs={
                "net_arch": {"pi": half, "vf": [width] * (layers - len(half))},
                "ortho_init": False,
            },
        )
        warm_adam(self.model.policy.optimizer)

    def change(self) -> None:
        """Change its own tensors."""
        change(tensors_of(self.model.policy, self.model.policy.optimizer))

    def save(self, path: Path) -> None:
        """See `Peer.save`."""
        self.model.save(path)


class Lightning(Sync):
    """`trainer.save_checkpoint`, which `ModelCheckpoint` calls, of a trainer that has trained."""

    plugins: Callable[[], list[Any]] = list

    def __init__(self, state: State, place: Path) -> None:
        """Fit one step, so that the trainer knows the model and its optimizer."""
        super().__init__(state, place)
        import lightning.pytorch as pl

        self.trainer = pl.Trainer(
            accelerator="cpu",
            max_steps=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            default_root_dir=place,
            plugins=type(self).plugins(),
        )
        width = next(state.model.parameters()).shape[0]
        rows = torch.utils.data.DataLoader(torch.zeros(1, width))
        self.trainer.fit(_lightning_module(state), rows)
        state.optimizer.zero_grad(set_to_none=True)

    def save(self, path: Path) -> None:
        """See `Peer.save`."""
        self.trainer.save_checkpoint(path)


def _async_io() -> list[Any]:
    from lightning.pytorch.plugins.io import AsyncCheckpointIO

    return [AsyncCheckpointIO()]


class LightningAsync(Lightning):
    """The same with its `AsyncCheckpointIO`."""

    plugins = staticmethod(_async_io)

    def wait(self) -> None:
        """See `Peer.wait`; the thread is started anew by the next save."""
        self.trainer.strategy.checkpoint_io.teardown()

    def load(self, path: Path) -> torch.Tensor:
        """See `Peer.load`."""
        found: torch.Tensor = torch.load(path, weights_only=False)["state_dict"]["net.0.weight"]
        return found


class Dcp(Sync):
    """`torch.distributed.checkpoint.async_save` in a single process."""

    keeps_stager = False

    def __init__(self, state: State, place: Path) -> None:
        """Start nothing."""
        super().__init__(state, place)
        from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

        none = StagingOptions(
            use_pinned_memory=False,
            use_shared_memory=False,
            use_async_staging=False,
            use_non_blocking_copy=False,
        )
        self._more = {"async_stager": DefaultStager(none)} if self.keeps_stager else {}
        self._future: Any = None

    def tree(self) -> dict[str, Any]:
        """Return the state as its manual says to get it."""
        from torch.distributed.checkpoint.state_dict import get_state_dict

        model, optimizer = get_state_dict(self.state.model, self.state.optimizer)
        return {"model": model, "optim": optimizer}

    def save(self, path: Path) -> None:
        """See `Peer.save`."""
        import torch.distributed.checkpoint as dcp

        self._future = dcp.async_save(self.tree(), checkpoint_id=path, **self._more)

    def wait(self) -> None:
        """See `Peer.wait`."""
        getattr(self._future, "upload_completion", self._future).result()

    def load(self, path: Path) -> torch.Tensor:
        """See `Peer.load`."""
        import torch.distributed.checkpoint as dcp

        first = torch.empty_like(next(self.state.model.parameters()))
        dcp.load({"model": {"0.weight": first}}, checkpoint_id=path)
        return first.detach()


class DcpKeptStager(Dcp):
    """The same with a stager that lives as long as the training, so that its buffers do."""

    keeps_stager = True


class Orbax(Sync):
    """`CheckpointManager`, asynchronous as it is by default, of a tree of numpy arrays."""

    def __init__(self, state: State, place: Path) -> None:
        """Open a manager that keeps one checkpoint."""
        super().__init__(state, place)
        import orbax.checkpoint as ocp

        self._ocp = ocp
        options = ocp.CheckpointManagerOptions(max_to_keep=1)
        self._manager = ocp.CheckpointManager(place / "orbax", options=options)
        self._step = 0

    def save(self, path: Path) -> None:
        """See `Peer.save`; the manager knows itself where to."""
        del path
        self._step += 1
        self._manager.save(self._step, args=self._ocp.args.StandardSave(arrays(self.state)))

    def wait(self) -> None:
        """See `Peer.wait`."""
        self._manager.wait_until_finished()

    def load(self, path: Path) -> torch.Tensor:
        """See `Peer.load`."""
        del path
        return torch.as_tensor(self.load_all()["model"]["0.weight"])

    def load_all(self) -> Any:
        """Return the newest checkpoint as numpy arrays."""
        wanted = self._ocp.args.StandardRestore(arrays(self.state))
        return self._manager.restore(self._step, args=wanted)

    def close(self) -> None:
        """See `Peer.close`."""
        self._manager.close()


class HuggingFace(Sync):
    """What Hugging Face's `Trainer` does at a save step: its `_save_checkpoint`."""

    def __init__(self, state: State, place: Path) -> None:
        """Make a trainer for the model."""
        super().__init__(state, place)
        from transformers import Trainer, TrainingArguments

        flat_rate = torch.optim.lr_scheduler.LambdaLR(state.optimizer, lambda _: 1.0)
        options = TrainingArguments(output_dir=str(place / "hf"), use_cpu=True, report_to=[])
        self._trainer = Trainer(
            model=state.model, args=options, optimizers=(state.optimizer, flat_rate)
        )

    def save(self, path: Path) -> None:
        """See `Peer.save`; the trainer makes a directory `checkpoint-STEP` at `path`."""
        self._trainer.args.output_dir = str(path)
        self._trainer.state.global_step += 1
        self._trainer._save_checkpoint(self._trainer.model, trial=None)  # noqa: SLF001


PEERS: dict[str, Callable[[State, Path], Any]] = {
    EVERTRAIN: Evertrain,
    TORCH: TorchSave,
    TORCH_SYNC: TorchSaveSync,
    "safetensors + fsync": Safetensors,
    "SB3 save": StableBaselines3,
    "Lightning save_checkpoint": Lightning,
    "HF Trainer": HuggingFace,
    "Lightning AsyncCheckpointIO": LightningAsync,
    "DCP async_save": Dcp,
    "DCP async_save, kept stager": DcpKeptStager,
    "Orbax async": Orbax,
}
ASYNC = (
    "Lightning AsyncCheckpointIO",
    "DCP async_save",
    "DCP async_save, kept stager",
    "Orbax async",
)


def chosen(*, only_evertrain: bool) -> dict[str, Callable[[State, Path], Any]]:
    """Return the peers to measure."""
    return {EVERTRAIN: Evertrain} if only_evertrain else PEERS


def flat(state: State) -> dict[str, torch.Tensor]:
    """Return the state as safetensors wants it: one level of names."""
    found = {f"model.{key}": each for key, each in state.model.state_dict().items()}
    for index, moments in state.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{index}.{key}": each for key, each in moments.items()}
    return found


def arrays(state: State) -> dict[str, Any]:
    """Return the state as nested numpy arrays that share its memory."""
    moments = state.optimizer.state_dict()["state"]
    return {
        "model": {key: each.numpy() for key, each in state.model.state_dict().items()},
        "optimizer": {
            str(index): {key: np.asarray(each) for key, each in of_one.items()}
            for index, of_one in moments.items()
        },
    }


def is_snapshot(make: Callable[[State, Path], Any], place: Path) -> bool:
    """Say whether a checkpoint holds the state of its `save`, though the loop goes on at once."""
    state = State(Size(4, 1024))
    peer = make(state, place)
    path = place / "snapshot"
    peer.save(path)
    peer.wait()
    state.change()
    was = next(state.model.parameters()).detach().clone()
    path = place / "snapshot2"
    peer.save(path)
    state.change()
    peer.wait()
    stored = peer.load(path)
    peer.close()
    return stored is not None and bool(torch.equal(stored, was))


def _lightning_module(state: State) -> Any:
    import lightning.pytorch as pl

    class Module(pl.LightningModule):
        """The shared model and optimizer, as Lightning wants them."""

        def __init__(self) -> None:
            """Take the model in."""
            super().__init__()
            self.net = state.model

        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
            """Return a loss without a slope: the work is to stay what it is."""
            del index
            return 0.0 * self.net(batch).mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            """Return the optimizer that is there."""
            return state.optimizer

    return Module()


def _world(width: int) -> Any:
    import gymnasium

    class World(gymnasium.Env):
        """An environment that only has the right shapes."""

        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (width,), np.float32)
        action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

        def reset(self, **_: Any) -> Any:
            """Begin."""
            return self.observation_space.sample(), {}

        def step(self, _: Any) -> Any:
            """Go on."""
            return self.observation_space.sample(), 0.0, False, False, {}

    return World()
