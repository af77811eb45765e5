"""Objects of torch: trained, stored, restored into a fresh program, trained on, bit-equal."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from evertrain.checkpoint.plugin import Adapter, Tree
from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.core.errors import StateError
from evertrain.integrations.torch import PLUGIN
from evertrain.integrations.torch.rng import cuda_is_awake

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "Adadelta": lambda p: torch.optim.Adadelta(p, lr=0.1),
    "Adafactor": lambda p: torch.optim.Adafactor(p, lr=0.1),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "Adam fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "Adam tensor lr": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01)),
    "AdamW amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "Adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "ASGD": lambda p: torch.optim.ASGD(p, lr=0.01, t0=2),
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "RAdam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
}
SCHEDULERS: dict[str, Callable[[Any], lr_scheduler.LRScheduler]] = {
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ExponentialLR(o, 0.9), lr_scheduler.ConstantLR(o, 0.5, 3)], optimizer=o
    ),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, 2),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 3, scale_fn=lambda x: 0.9**x),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
    "LambdaLR object": lambda o: lr_scheduler.LambdaLR(o, Warmup()),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 2, 7]),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, 30),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.LinearLR(o, total_iters=4), lr_scheduler.MultiStepLR(o, [3])],
        milestones=[4],
    ),
}


class Warmup:
    """A function with a memory."""

    def __init__(self) -> None:
        """Start with nothing asked."""
        self.calls = 0

    def __call__(self, step: int) -> float:  # noqa: ARG002
        """Return a factor that depends on how often it was asked."""
        self.calls += 1
        return 1.0 / self.calls


def adapter_of(thing: object) -> Adapter:
    """Return the adapter that the plugin has for `thing`."""
    return next(each for each in PLUGIN.adapters if each.accepts(thing))


def stored(thing: object) -> Tree:
    """Capture `thing` and take it through the checkpoint's own form."""
    flat = copy.deepcopy(flatten(adapter_of(thing).capture(thing)))
    return unflatten(flat.skeleton, flat.arrays)


def restore(thing: object, tree: Tree) -> None:
    """Restore `tree` into `thing`, which it must fit."""
    adapter = adapter_of(thing)
    assert list(adapter.mismatches(thing, tree)) == []
    adapter.restore(thing, tree)


def make_net(seed: int = 0) -> nn.Sequential:
    """Return a small network with parameters and buffers."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))


def take_steps(net: nn.Module, optimizer: Any, first: int, count: int) -> None:
    """Train on data that depends on the step only."""
    for step in range(first, first + count):
        data = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))

        def loss(data: torch.Tensor = data) -> torch.Tensor:
            optimizer.zero_grad()
            value: torch.Tensor = net(data).square().mean()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)


def same(one: Any, two: Any) -> bool:
    """Say whether two captured trees are equal bit for bit."""
    flat_one, flat_two = flatten(one), flatten(two)
    arrays = flat_one.arrays.keys() == flat_two.arrays.keys() and all(
        flat_one.arrays[key].data.tobytes() == flat_two.arrays[key].data.tobytes()
        for key in flat_one.arrays
    )
    return flat_one.skeleton == flat_two.skeleton and arrays


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains_on_exactly(name: str) -> None:
    """Weights and moments after 4 + 4 steps equal those after 8, bit for bit."""
    net, other = make_net(), make_net(1)
    optimizer, fresh = (OPTIMIZERS[name](each.parameters()) for each in (net, other))
    take_steps(net, optimizer, 0, 4)
    optimizer.param_groups[0]["lr"] *= 0.5
    trees = stored(net), stored(optimizer)
    take_steps(net, optimizer, 4, 4)

    restore(other, trees[0])
    restore(fresh, trees[1])
    take_steps(other, fresh, 4, 4)

    assert same(adapter_of(net).capture(net), adapter_of(other).capture(other))
    assert same(adapter_of(fresh).capture(fresh), adapter_of(optimizer).capture(optimizer))


def test_the_moments_matter() -> None:
    """Without the optimizer's state the weights differ: so the test above can fail."""
    net, other = make_net(), make_net(1)
    optimizer, fresh = (torch.optim.Adam(each.parameters(), lr=0.01) for each in (net, other))
    take_steps(net, optimizer, 0, 4)
    tree = stored(net)
    take_steps(net, optimizer, 4, 4)

    restore(other, tree)
    take_steps(other, fresh, 4, 4)

    assert not same(adapter_of(net).capture(net), adapter_of(other).capture(other))


def test_state_wider_than_its_parameter_keeps_its_bits() -> None:
    """Moments in float32 of parameters in bfloat16 come back in float32."""
    weights = [nn.Parameter(torch.zeros(3, dtype=torch.bfloat16)) for _ in range(2)]
    optimizer, fresh = (torch.optim.SGD([each], lr=0.1) for each in weights)
    optimizer.state[weights[0]] = {"momentum_buffer": torch.full((3,), 1 / 3), "count": 7}

    restore(fresh, stored(optimizer))

    state = fresh.state[weights[1]]
    assert state["momentum_buffer"].dtype == torch.float32
    assert torch.equal(state["momentum_buffer"], torch.full((3,), 1 / 3))
    assert state["count"] == 7


def test_parameters_without_state_stay_without() -> None:
    """What the fresh optimizer gathered before the restore does not survive it."""
    weights = [nn.Parameter(torch.zeros(2)) for _ in range(2)]
    optimizer, fresh = (torch.optim.Adam([each]) for each in weights)
    weights[1].grad = torch.ones(2)
    fresh.step()

    restore(fresh, stored(optimizer))

    assert weights[1] not in fresh.state


def test_optimizers_of_other_models_are_refused_with_paths() -> None:
    """Class, groups, counts and shapes are compared, and named."""
    adapter = adapter_of(torch.optim.SGD([nn.Parameter(torch.zeros(2))]))

    def of(*shapes: tuple[int, ...]) -> torch.optim.Optimizer:
        return torch.optim.SGD([nn.Parameter(torch.zeros(shape)) for shape in shapes], lr=0.1)

    grouped = of((2,))
    grouped.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
    adam = torch.optim.Adam([nn.Parameter(torch.zeros(2))])
    found = [
        [
            f"{each.path}: {each.problem}"
            for each in adapter.mismatches(of((2,), (3, 4)), stored(tree))
        ]
        for tree in (of((2,), (4, 4)), of((2,)), grouped, adam)
    ]

    assert found == [
        ["param_groups[0].params[1]: shape (4, 4) there, (3, 4) here"],
        ["param_groups[0]: 1 parameters there, 2 here"],
        ["param_groups: 2 groups there, 1 here"],
        ["class: Adam there, SGD here"],
    ]


def test_modules_that_differ_are_compared_leaf_by_leaf() -> None:
    """Missing, extra, reshaped and retyped leaves are all named."""
    net = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2, bias=False)})
    other = nn.ModuleDict({"a": nn.Linear(3, 2).double(), "c": nn.Linear(2, 2, bias=False)})

    found = adapter_of(net).mismatches(net, stored(other))

    assert [(each.path, each.problem) for each in found] == [
        ("a.bias", "torch.float64 there, torch.float32 here"),
        ("a.weight", "shape (2, 3) there, (2, 2) here"),
        ("b.weight", "missing in the checkpoint"),
        ("c.weight", "not in the program"),
    ]


def test_a_module_is_filled_in_place_and_only_where_it_fits() -> None:
    """Optimizers and aliases keep their tensors; a new head keeps its fresh values."""
    net = nn.ModuleDict({"body": nn.Linear(3, 4), "head": nn.Linear(4, 1)})
    other = nn.ModuleDict({"body": nn.Linear(3, 4), "head": nn.Linear(4, 2)})
    here, there = other.state_dict(), net.state_dict()
    head = here["head.weight"].clone()

    adapter_of(other).restore(other, stored(net))

    assert torch.equal(here["body.weight"], there["body.weight"])
    assert torch.equal(here["head.weight"], head)


def test_wrappers_that_only_prefix_names_do_not_matter() -> None:
    """A checkpoint of a compiled or parallel module fits the bare one, and the reverse."""
    net, other = make_net(), make_net(1)
    compiled = torch.compile(other, backend="eager")
    restore(compiled, stored(nn.DataParallel(net)))

    assert same(adapter_of(net).capture(net), adapter_of(other).capture(other))
    inner: Any = torch.compile(nn.Linear(1, 1), backend="eager")
    nested = nn.Sequential(inner)
    assert set(stored(nested)) == {"0.weight", "0.bias"}
    restore(nested, stored(nested))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_a_scripted_module_is_a_module() -> None:
    """It keeps its parts in something that is no dict."""
    net, other = make_net(), make_net(1)
    restore(torch.jit.script(other), stored(torch.jit.script(net)))

    assert same(adapter_of(net).capture(net), adapter_of(other).capture(other))


def test_extra_state_of_a_module_comes_back() -> None:
    """What `get_extra_state` gives, `set_extra_state` gets."""

    class Counting(nn.Module):
        count = 0

        def get_extra_state(self) -> dict[str, int]:
            return {"count": self.count}

        def set_extra_state(self, state: dict[str, int]) -> None:
            self.count = state["count"]

    module, other = Counting(), Counting()
    module.count = 5

    restore(other, stored(module))

    assert other.count == 5


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.filterwarnings("ignore:.*deprecat.*", "ignore:The epoch parameter")
def test_every_scheduler_goes_on_exactly(name: str) -> None:
    """Learning rates after 5 + 5 steps equal those after 10; functions stay the program's."""
    rates: list[list[float]] = []
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.5)
    scheduler = SCHEDULERS[name](optimizer)
    advance(optimizer, scheduler, 5)
    trees = stored(optimizer), stored(scheduler)
    rates.append(advance(optimizer, scheduler, 5))

    fresh = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.5)
    other = SCHEDULERS[name](fresh)
    restore(fresh, trees[0])
    restore(other, trees[1])
    rates.append(advance(fresh, other, 5))

    assert rates[0] == rates[1]
    assert same(stored(scheduler), stored(other))


def advance(optimizer: Any, scheduler: Any, count: int) -> list[float]:
    """Take steps and return the learning rates."""
    rates = []
    for _ in range(count):
        optimizer.step()
        scheduler.step(*([1.0] if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else []))
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def test_another_scheduler_is_refused() -> None:
    """A schedule of another class, or of other parts, does not fit."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    cosine, step = (SCHEDULERS[name](optimizer) for name in ("CosineAnnealingLR", "MultiStepLR"))
    chain = SCHEDULERS["ChainedScheduler"](optimizer)
    shorter = lr_scheduler.ChainedScheduler(
        [lr_scheduler.ExponentialLR(optimizer, 0.9)], optimizer=optimizer
    )

    assert [e.path for e in adapter_of(step).mismatches(step, stored(cosine))] == ["class"]
    assert [e.path for e in adapter_of(chain).mismatches(chain, stored(shorter))] == ["_schedulers"]


def test_a_gradient_scaler_comes_back() -> None:
    """Its scale and its growth tracker are as they were; enabled must match."""
    scaler, other = (torch.amp.GradScaler("cpu", init_scale=8.0) for _ in range(2))
    scaler.scale(torch.ones(1))
    scaler.update(3.0)
    off = torch.amp.GradScaler("cpu", enabled=False)

    restore(other, stored(scaler))
    restore(off, stored(off))

    assert other.state_dict() == scaler.state_dict()
    assert other.get_scale() == 3.0
    found = adapter_of(other).mismatches(other, stored(off))
    assert [each.problem for each in found] == ["disabled there, enabled here"]


def test_tensors_and_generators_are_restored_in_place() -> None:
    """Whoever holds them sees the restored values."""
    tensor, generator = torch.ones(2, requires_grad=True), torch.Generator().manual_seed(1)
    trees = stored(tensor), stored(generator)
    expected = torch.rand(3, generator=generator)
    with torch.no_grad():
        tensor.zero_()

    restore(tensor, trees[0])
    restore(generator, trees[1])

    assert tensor.tolist() == [1.0, 1.0]
    assert torch.equal(torch.rand(3, generator=generator), expected)
    found = adapter_of(tensor).mismatches(tensor, stored(torch.ones(3)))
    assert [each.problem for each in found] == ["shape (3,) there, (2,) here"]


def test_a_data_loader_is_refused_with_advice() -> None:
    """It does not know its position, and the error says what to do."""
    data: Any = [1, 2]
    loader: Any = torch.utils.data.DataLoader(data)

    with pytest.raises(StateError, match="StatefulDataLoader"):
        adapter_of(loader).capture(loader)


def test_capturing_draws_nothing_and_changes_nothing() -> None:
    """Saving at another time cannot change a training."""
    net = make_net()
    optimizer = torch.optim.Adam(net.parameters())
    take_steps(net, optimizer, 0, 1)
    before = torch.get_rng_state(), stored(net), stored(optimizer)

    for thing in (net, optimizer, lr_scheduler.ExponentialLR(optimizer, 0.9)):
        adapter_of(thing).capture(thing)

    assert torch.equal(torch.get_rng_state(), before[0])
    assert same(stored(net), before[1])


def test_the_global_generator_goes_on_where_it_was() -> None:
    """Captured and restored, it draws the same; CUDA stays asleep."""
    source = PLUGIN.rngs[0]
    flat = copy.deepcopy(flatten(source.capture()))
    expected = torch.rand(3)
    source.seed(5)
    assert torch.equal(torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(5)))

    source.restore(unflatten(flat.skeleton, flat.arrays))

    assert torch.equal(torch.rand(3), expected)
    assert source.name == "torch"
    assert not cuda_is_awake()


def test_descriptions_are_for_people() -> None:
    """One line with the numbers that matter."""
    describe = PLUGIN.describe
    assert describe is not None
    net = nn.Linear(1000, 100)

    assert describe(net) == "100,100 parameters on cpu"
    assert describe(nn.ReLU()) == "no parameters"
    assert describe(torch.optim.Adam(net.parameters(), lr=3e-4)) == "Adam, learning rate 0.0003"
    assert describe(torch.zeros(2, 3)) == "float32 (2, 3) on cpu"
    assert describe("text") is None
