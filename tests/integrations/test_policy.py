"""`load_policy` and torch: the checkpoint's weights in the program's module, ready to play."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evertrain import Run, Store, load_policy
from evertrain.core.errors import NotFoundError, StateError, UsageError


class Net(torch.nn.Module):
    """Two heads, and a layer that training and playing treat differently."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.9))
        self.heads = torch.nn.ModuleList([torch.nn.Linear(4, 1), torch.nn.Linear(4, 2)])

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.body(observation)
        return tuple(head(found) for head in self.heads)


def saved(place: Path, **things: Any) -> Path:
    """Return a run of one step that holds `things`; what it scored best is step 1 of 2."""
    with Run(place, total=2, best="max:score") as run:
        run.attach(**things)
        for step in run:
            run.log(score=-step)
            for thing in things.values():
                if step == 2 and isinstance(thing, torch.nn.Module):
                    for parameter in thing.parameters():
                        parameter.data += 1.0
    return place


@pytest.fixture
def net() -> Net:
    """Provide a net whose weights no other one has."""
    return Net()


def test_the_weights_play_in_a_module_of_the_program(tmp_path: Path, net: Net) -> None:
    """Of the checkpoint that is asked for; as in evaluation; arrays in, arrays out."""
    before = {key: value.clone() for key, value in net.state_dict().items()}
    path = saved(tmp_path / "run", net=net, table=np.zeros(3))
    observation = np.linspace(-1, 1, 6).reshape(2, 3)

    latest = load_policy(path, module=Net).predict(observation)
    first = load_policy(f"{path}@1", module=Net()).predict(observation)
    best = load_policy(f"{path}@best", module=Net).predict(observation)

    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(observation).float())
    assert [each.shape for each in latest] == [(2, 1), (2, 2)]
    for mine, theirs in zip(latest, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs.numpy())
    assert before.keys() == net.state_dict().keys()
    assert not np.array_equal(first[0], latest[0])
    np.testing.assert_array_equal(first[0], best[0])


def test_a_checkpoint_may_be_given_by_its_directory(tmp_path: Path, net: Net) -> None:
    """Wherever it is: copied, set aside, of no run at all."""
    path = saved(tmp_path / "run", net=net)
    place = Store(path).get(2).path.rename(tmp_path / "copied")

    policy = load_policy(place, module=Net)

    assert policy.predict(np.zeros(3, np.float32))[1].shape == (2,)


def test_which_module_is_meant_is_said_or_clear(tmp_path: Path) -> None:
    """The only one with these names; else by name, also inside of a dict."""
    nets: dict[str, torch.nn.Linear] = {
        "actor": torch.nn.Linear(3, 2),
        "critic": torch.nn.Linear(3, 1),
    }
    path = saved(tmp_path / "run", net=Net(), nets=nets, one=torch.nn.Linear(3, 2, bias=False))

    assert load_policy(path, module=Net).predict(np.zeros(3))[0].shape == (1,)
    actor = load_policy(path, name="nets.actor", module=torch.nn.Linear(3, 2))
    x = np.ones(3, np.float32)
    np.testing.assert_array_equal(
        actor.predict(x), nets["actor"](torch.from_numpy(x)).detach().numpy()
    )
    with pytest.raises(NotFoundError, match="none of it says how it plays"):
        load_policy(path)
    with pytest.raises(NotFoundError, match="holds no 'nothing'"):
        load_policy(path, name="nothing", module=Net)
    with pytest.raises(NotFoundError):
        load_policy(tmp_path / "nowhere", module=Net)
    with pytest.raises(NotFoundError):
        load_policy(f"{path}@77", module=Net)


def test_two_that_could_be_meant_are_not_guessed_between(tmp_path: Path) -> None:
    """A generator and a discriminator of the same shape."""
    path = saved(tmp_path / "run", a=torch.nn.Linear(3, 2), b=torch.nn.Linear(3, 2))

    with pytest.raises(NotFoundError, match="several could be meant: a, b"):
        load_policy(path, module=torch.nn.Linear(3, 2))


def test_what_does_not_fit_is_refused(tmp_path: Path, net: Net) -> None:
    """Wrong shapes, no module, something else, one policy of several that there are not."""
    path = saved(tmp_path / "run", net=net, table=np.zeros(3))
    odd = Net()
    odd.heads[1] = torch.nn.Linear(4, 5)
    untouched = odd.state_dict()["heads.0.weight"].clone()

    with pytest.raises(StateError, match=r"heads\.1\.weight: shape \(2, 4\) there, \(5, 4\) here"):
        load_policy(path, module=odd)
    assert torch.equal(odd.state_dict()["heads.0.weight"], untouched)
    with pytest.raises(UsageError, match="not how they are put together"):
        load_policy(path, name="net")
    with pytest.raises(UsageError, match="a int"):
        load_policy(path, name="net", module=5)
    with pytest.raises(UsageError, match="policy_id"):
        load_policy(path, module=Net, policy_id="seeker")
    with pytest.raises(StateError, match="no module's state"):
        load_policy(path, name="table", module=Net)


def test_a_damaged_checkpoint_does_not_play(tmp_path: Path, net: Net) -> None:
    """Every byte of the part that is used is looked at."""
    path = saved(tmp_path / "run", net=net)
    file = Store(path).get(2).path / "net.safetensors"
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)

    with pytest.raises(Exception, match=r"net\.safetensors"):
        load_policy(path, module=Net)


@pytest.mark.slow
def test_the_base_install_has_the_name(tmp_path: Path) -> None:
    """Without torch it can be imported, and says what is missing."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from evertrain import Run, load_policy\n"
        "with Run('run', total=1) as run:\n"
        "    run.state.x = 1\n"
        "    for _ in run: pass\n"
        "try: load_policy('run')\n"
        "except LookupError as error: print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines()[-1:] == ["NotFoundError"], done.stderr
