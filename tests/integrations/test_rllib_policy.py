"""What RLlib has learned, ready to play and for other programs; and a pair for three lines."""

import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray
import torch
from gymnasium import spaces
from ray.rllib.algorithms import algorithm as algorithm_module
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import MeanStdFilter
from ray.rllib.core.columns import Columns
from ray.tune.trainable import trainable as trainable_module

from evertrain import Run, load_policy
from evertrain.checkpoint.plugin import INFERENCE
from evertrain.core.errors import NotFoundError, StateError, UsageError
from evertrain.integrations.rllib import checkpoint, environments, export, restore
from evertrain.integrations.rllib.export import write_rllib
from evertrain.integrations.rllib.inference import CLIP, KNOWN, UNSQUASH, describe_policies
from evertrain.integrations.rllib.observation import batched
from evertrain.integrations.rllib.policy import ModulePolicy, load
from evertrain.integrations.rllib.spaces import build, describe
from integrations import herds

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

_filter: Any = MeanStdFilter

SPACES: list[Any] = [
    spaces.Box(-1, 1, (2, 3), np.float32),
    spaces.Box(0, 255, (4,), np.uint8),
    spaces.Box(-np.inf, np.inf, (), np.float64),
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(4),
    spaces.Tuple([spaces.Discrete(2), spaces.MultiBinary([2, 2])]),
    spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Box(0, 1, (1,))}),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_there_and_back(space: Any) -> None:
    """As plain data, with its dtype."""
    assert build(describe(space)) == space


def test_a_space_of_no_known_class() -> None:
    """It is refused by name, and a file that names one builds none."""
    with pytest.raises(StateError, match="Text"):
        describe(spaces.Text(4))
    with pytest.raises(StateError, match=r"'os\.system'"):
        build({"os.system": "ls"})
    with pytest.raises(StateError, match=r"no space \(too large"):
        build({"multi_binary": [2**50]})


@pytest.mark.parametrize("change", [UNSQUASH, CLIP, None])
def test_continuous_actions_are_those_that_the_environment_gets(change: str | None) -> None:
    """RLlib learns between -1 and 1, and stretches or cuts what it has drawn."""
    module: Any = KNOWN["DefaultPPOTorchRLModule"](
        observation_space=spaces.Box(-1, 1, (3,)),
        action_space=spaces.Box(-3, 1, (2,)),
        inference_only=False,
        model_config=asdict(herds.network(8)),
    )
    rows = np.random.default_rng(1).normal(size=(40, 3), scale=9).astype(np.float32)
    with torch.no_grad():
        found = module.forward_inference({Columns.OBS: torch.from_numpy(rows)})
    means = 9 * found[Columns.ACTION_DIST_INPUTS].numpy()[:, :2]
    head: Any = vars(module)["_modules"]["pi"]
    head.load_state_dict({k: 9 * each for k, each in head.state_dict().items()})

    actions = ModulePolicy(module, change).predict(rows)

    stretched = np.clip(-3 + (means + 1) * 2, -3, 1)
    expected = {UNSQUASH: stretched, CLIP: np.clip(means, -3, 1), None: means}[change]
    assert np.allclose(actions, expected, atol=1e-4)
    assert (np.abs(means) > 1).any()


Default: Any = KNOWN["DefaultPPOTorchRLModule"]


class Own(Default):  # type: ignore[misc]
    """A module of the program's own."""


def network_of(
    kind: Any = KNOWN["DefaultPPOTorchRLModule"], *, inference_only: bool = False
) -> Any:
    """Return a module for a continuous world."""
    return kind(
        observation_space=spaces.Box(-1, 1, (3,)),
        action_space=spaces.Box(-2, 2, (1,)),
        inference_only=inference_only,
        model_config=asdict(herds.network(8)),
    )


def captured(module: Any, made: Any = None) -> Any:
    """Return what a checkpoint holds of an algorithm's only policy."""
    config: Any = made or PPOConfig()  # type: ignore[no-untyped-call]
    learner = SimpleNamespace(module={"pilot": module})
    algorithm = SimpleNamespace(config=config, learner_group=SimpleNamespace(_learner=learner))
    weights = {key: each.clone() for key, each in module.state_dict().items()}
    return {INFERENCE: describe_policies(algorithm), "weights": {"pilot": weights}}


def test_actions_of_a_module_that_is_given_are_stretched_too() -> None:
    """Its class is the program's; what RLlib does to its actions is in the checkpoint."""
    tree = captured(network_of(Own))

    policy = load(tree, module=network_of(Own), policy_id=None)

    rows = np.random.default_rng(1).normal(size=(400, 3)).astype(np.float32)
    assert np.abs(policy.predict(rows, deterministic=False)).max() > 1.5
    with pytest.raises(StateError, match="class Own"):
        load(tree, module=None, policy_id=None)


def test_connectors_are_refused_with_a_module_too() -> None:
    """They stand around it, and no module knows what they do."""
    plain: Any = PPOConfig()  # type: ignore[no-untyped-call]
    filtered = plain.env_runners(env_to_module_connector=lambda *_, **__: _filter())
    tree = captured(network_of(), filtered)

    for module in (None, network_of()):
        with pytest.raises(StateError, match="connectors of its own before"):
            load(tree, module=module, policy_id=None)


def test_a_module_that_only_plays_is_filled() -> None:
    """It lacks what only a learner needs, and nothing else may be missing."""
    tree = captured(network_of())
    player = network_of(inference_only=True)
    assert player.state_dict().keys() < tree["weights"]["pilot"].keys()

    load(tree, module=player, policy_id=None)

    assert all(
        torch.equal(each, tree["weights"]["pilot"][key])
        for key, each in player.state_dict().items()
    )
    tree["weights"]["pilot"]["pi.another"] = torch.zeros(1)
    with pytest.raises(StateError, match=r"pi\.another: not in the program"):
        load(tree, module=player, policy_id=None)
    with pytest.raises(UsageError, match="Linear"):
        load(tree, module=torch.nn.Linear(1, 1), policy_id=None)


def test_a_description_takes_no_more_than_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of terabytes is refused before a byte of it is there."""
    tree = captured(network_of())
    assert load(tree, module=None, policy_id=None).predict(np.zeros(3)).shape == (1,)
    config = tree[INFERENCE]["policies"]["pilot"]["model_config"]
    monkeypatch.setitem(config, "fcnet_hiddens", [1_000_000, 1_000_000])

    with pytest.raises(StateError, match="shape"):
        load(tree, module=None, policy_id=None)


def test_observations_as_people_write_them() -> None:
    """Whole numbers, views, bytes of other machines; what is no observation is told as such."""
    policy = ModulePolicy(network_of(), UNSQUASH)
    row = np.array([1.0, 0.5, 0.0], np.float32)
    expected = policy.predict(row)

    for same in (row.tolist(), row[::-1].copy()[::-1], row.astype(">f8"), row.astype(np.float64)):
        assert (policy.predict(same) == expected).all()
    assert (policy.predict([1, 0, 0]) == policy.predict([1.0, 0.0, 0.0])).all()
    assert policy.predict([[1, 0, 0], [0, 1, 0]]).shape == (2, 1)
    for odd in ([1, 0], [[1, 0], [1, 0]], [[1, 0, 0], [1]], ["a", "b", "c"], {"x": row}, 3.0):
        with pytest.raises(UsageError, match="predict was given"):
            policy.predict(odd)


def test_parts_of_an_observation_are_looked_at_by_name() -> None:
    """In the order of their space, whatever the order in which they are given."""
    space = spaces.Dict({"a": spaces.Box(0, 1, (1,)), "b": spaces.Discrete(2)})

    found, is_batch = batched({"b": 1, "a": [0.5]}, space)

    assert not is_batch
    assert found["a"].tolist() == [[0.5]]
    assert found["b"].tolist() == [1]
    for odd in ({"a": [0.5]}, {"a": [0.5], "c": 1}, [0.5, 1]):
        with pytest.raises(UsageError, match="predict was given"):
            batched(odd, space)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    """Train two policies for two iterations."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    path = tmp_path_factory.mktemp("rllib")
    with Run(path / "run", total=2, unit="iteration", seed=3) as run:
        algorithm = herds.build(herds.config())
        run.attach(algorithm=algorithm)
        for _ in run:
            algorithm.train()
    yield path, algorithm
    algorithm.stop()
    ray.shutdown()


def likeliest(algorithm: Any, policy: str, rows: Any) -> Any:
    """Return what RLlib itself would do with explore=False."""
    module = algorithm.get_module(policy)
    found = module.forward_inference({Columns.OBS: torch.from_numpy(rows)})
    return found[Columns.ACTION_DIST_INPUTS].argmax(-1).numpy()


def test_a_policy_plays_alone(trained: tuple[Path, Any]) -> None:
    """For one observation and for a batch, what RLlib's own module would do."""
    path, algorithm = trained
    rows = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)

    for name in ("wolves", "sheep"):
        policy = load_policy(path / "run", policy_id=name)
        assert (policy.predict(rows) == likeliest(algorithm, name, rows)).all()
        assert policy.predict(rows[7]) == likeliest(algorithm, name, rows)[7]
    drawn = {int(policy.predict(rows[0], deterministic=False)) for _ in range(60)}
    assert len(drawn) > 1


def test_a_policy_is_named(trained: tuple[Path, Any]) -> None:
    """Of two, neither is guessed; and there is no third."""
    with pytest.raises(UsageError, match="wolves, sheep"):
        load_policy(trained[0] / "run")
    with pytest.raises(NotFoundError, match="'goats'"):
        load_policy(trained[0] / "run", policy_id="goats")


def test_exports_are_whole_and_loadable(
    trained: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What RLlib's own from_checkpoint reads, made of a checkpoint; never half of it."""
    path, algorithm = trained
    for where in (algorithm_module, trainable_module):  # the one that this Ray writes to
        monkeypatch.setattr(where, "DEFAULT_STORAGE_PATH", str(path), raising=False)
    stored = max((path / "run/checkpoints").glob("0*"))
    other = herds.build(herds.config())

    (path / ".exported.tmp-99999999").mkdir()  # of an export that was killed
    write_rllib(stored, other, None, path / "exported")
    assert not list(path.glob(".exported.*"))
    again: Any = Algorithm.from_checkpoint(str(path / "exported"))

    for name in ("wolves", "sheep"):
        there, here = again.get_module(name).state_dict(), algorithm.get_module(name).state_dict()
        assert all(torch.equal(there[key], here[key]) for key in here)
    with pytest.raises(UsageError, match="exists"):
        export(other, path / "exported")
    for each in (other, again):
        each.stop()


def test_the_pair_goes_on(trained: tuple[Path, Any]) -> None:
    """Nothing on the first start, the last iteration on the second; another network is refused."""
    path, algorithm = trained
    other = herds.build(herds.config())
    assert restore(other, path / "pair") == 0

    checkpoint(algorithm, path / "pair")
    assert restore(other, path / "pair") == algorithm.iteration == 2

    wide = herds.config().rl_module(model_config=herds.network(8))
    third = herds.build(wide)
    with pytest.raises(StateError, match="shape"):
        restore(third, path / "pair")
    for each in (other, third):
        each.stop()


def test_the_pair_says_what_it_does_not_keep(trained: tuple[Path, Any], tmp_path: Path) -> None:
    """Once, at the first checkpoint."""
    del trained  # Ray runs
    algorithm = herds.build(herds.config())
    environments.decide(algorithm, environments.Keeping("barrier"))

    with pytest.warns(RuntimeWarning, match=r"episodes begin anew .* does not go on exactly"):
        checkpoint(algorithm, tmp_path)
    algorithm._iteration = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint(algorithm, tmp_path)
    algorithm.stop()


def test_the_pair_passes_over_what_is_damaged(trained: tuple[Path, Any], tmp_path: Path) -> None:
    """The newest is set aside, and the one before it taken."""
    del trained  # Ray runs
    algorithm = herds.build(herds.config())
    for iteration in (1, 2):
        algorithm._iteration = iteration
        info = checkpoint(algorithm, tmp_path)
    biggest = max((each for each in info.path.rglob("*.*")), key=lambda each: each.stat().st_size)
    broken = bytearray(biggest.read_bytes())
    broken[-9] ^= 1
    biggest.chmod(0o600)
    biggest.write_bytes(broken)

    with pytest.warns(RuntimeWarning, match="checkpoint 2 is damaged and set aside"):
        assert restore(algorithm, tmp_path) == 1

    assert not info.path.exists()
    checkpoint_again = algorithm._iteration = 2
    assert checkpoint(algorithm, tmp_path).step == checkpoint_again
    algorithm.stop()
