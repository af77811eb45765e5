"""What our own plugins bring passes the suites for strangers'; broken ones fail them by name."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from evertrain.checkpoint.plugin import Adapter, Codec, Encoded, Mismatch, RngSource, Tree
from evertrain.run.adapters import ArrayAdapter, GeneratorAdapter, find_adapter
from evertrain.run.rng import NumpyRng, PythonRng
from evertrain.testing import AdapterContract, CodecContract, RngContract

torch = pytest.importorskip("torch")

from evertrain.integrations.torch import PLUGIN  # noqa: E402
from evertrain.integrations.torch.module import ModuleAdapter  # noqa: E402
from evertrain.integrations.torch.rng import TorchRng  # noqa: E402

CODECS = {codec.name: codec for codec in PLUGIN.codecs}


class TestTensorCodec(CodecContract):
    """Tensors."""

    @pytest.fixture
    def codec(self) -> Codec:
        return CODECS["torch.tensor"]

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        return [
            torch.zeros(0, 3),
            torch.tensor(float("nan")),
            torch.arange(6.0).reshape(2, 3).T,
            torch.ones(3, dtype=torch.bfloat16),
            torch.ones(2, dtype=torch.complex64),
            torch.ones(2, requires_grad=True),
        ]


class TestSizeCodec(CodecContract):
    """Shapes."""

    @pytest.fixture
    def codec(self) -> Codec:
        return CODECS["torch.size"]

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        return [torch.Size([]), torch.Size([2, 0])]


class TestModuleAdapter(AdapterContract):
    """Modules."""

    @pytest.fixture
    def adapter(self) -> Adapter:
        return ModuleAdapter()

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        return lambda: torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))

    @pytest.fixture
    def train(self) -> Callable[[Any], object]:
        return lambda module: (
            module(torch.randn(4, 2)) is None
            or [each.data.add_(torch.randn(each.shape)) for each in module.parameters()]
        )

    @pytest.fixture
    def misfits(self) -> Sequence[Any]:
        return [torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.BatchNorm1d(4))]


class TestArrayAdapter(AdapterContract):
    """Arrays."""

    @pytest.fixture
    def adapter(self) -> Adapter:
        return ArrayAdapter()

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        return lambda: np.zeros((2, 3))

    @pytest.fixture
    def train(self) -> Callable[[Any], object]:
        return lambda array: array.__iadd__(1 + array)

    @pytest.fixture
    def misfits(self) -> Sequence[Any]:
        return [np.zeros((3, 2)), np.zeros((2, 3), np.float32)]


class TestGeneratorAdapter(AdapterContract):
    """Generators."""

    @pytest.fixture
    def adapter(self) -> Adapter:
        return GeneratorAdapter()

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        return lambda: np.random.default_rng(1)

    @pytest.fixture
    def train(self) -> Callable[[Any], object]:
        return lambda generator: generator.random()

    @pytest.fixture
    def misfits(self) -> Sequence[Any]:
        return [random.Random(1), np.random.Generator(np.random.MT19937(1))]


@pytest.mark.parametrize("kind", ["list", "dict", "deque"])
class TestContainers(AdapterContract):
    """Dicts, lists and deques."""

    @pytest.fixture
    def make(self, kind: str) -> Callable[[], Any]:
        made: dict[str, Callable[[], Any]] = {
            "list": lambda: [1, [2.5]],
            "dict": lambda: {"a": 1, "b": {"c": 2.5}},
            "deque": lambda: deque([1, 2], maxlen=5),
        }
        return made[kind]

    @pytest.fixture
    def adapter(self, make: Callable[[], Any]) -> Adapter:
        found = find_adapter(make())
        assert found is not None
        return found

    @pytest.fixture
    def train(self, kind: str) -> Callable[[Any], object]:
        def change(thing: Any) -> None:
            if kind == "dict":
                thing["a"] += 1
            else:
                thing.append(len(thing))

        return change


class TestPythonRng(RngContract):
    """`random`."""

    @pytest.fixture
    def source(self) -> RngSource:
        return PythonRng()

    @pytest.fixture
    def draw(self) -> Callable[[], object]:
        return random.random


class TestNumpyRng(RngContract):
    """`numpy.random`."""

    @pytest.fixture
    def source(self) -> RngSource:
        return NumpyRng()

    @pytest.fixture
    def draw(self) -> Callable[[], object]:
        return np.random.standard_normal


class TestTorchRng(RngContract):
    """`torch`."""

    @pytest.fixture
    def source(self) -> RngSource:
        return TorchRng()

    @pytest.fixture
    def draw(self) -> Callable[[], object]:
        return lambda: torch.randn(1).item()


class LossyCodec:
    """A codec of complex numbers that forgets a part, draws numbers, and takes what it likes."""

    name = "lossy"

    def accepts(self, value: object) -> bool:
        return isinstance(value, complex | float)

    def encode(self, value: Any) -> Encoded:
        return Encoded({"real": value.real, "salt": random.random()})

    def decode(self, meta: dict[str, Any], children: Any) -> object:
        del children
        if not meta:
            raise SystemExit
        return complex(meta["real"], 0.0)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("test_it_has_the_name_of_its_plugin", ()),
        ("test_it_accepts_its_own_and_nothing_else", ([1j],)),
        ("test_what_comes_back_is_what_was_taken_apart", ([1j],)),
        ("test_taking_apart_changes_nothing", ([1j],)),
        ("test_a_file_that_lies_is_refused", ({},)),
    ],
)
def test_a_broken_codec_fails(name: str, args: tuple[Any, ...]) -> None:
    """Each way to be wrong fails the test that is named after it."""
    with pytest.raises((AssertionError, SystemExit)):
        getattr(CodecContract(), name)(LossyCodec(), *args)


class LaxAdapter:
    """An adapter of lists that restores half, trains while it looks, and finds nothing wrong."""

    def accepts(self, thing: object) -> bool:
        return thing is not None

    def capture(self, thing: Any) -> Tree:
        random.random()
        return thing

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        del tree
        thing.append(0)
        return ()

    def restore(self, thing: Any, tree: Tree) -> None:
        thing[:1] = tree[:1]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("test_it_accepts_its_own_and_nothing_else", (list,)),
        ("test_a_restored_thing_is_the_one_that_was_saved", (list, lambda a: a.append(len(a)))),
        ("test_capturing_changes_nothing", (list, lambda a: a.append(1))),
        ("test_looking_changes_nothing", (list, lambda a: a.append(1))),
        ("test_what_does_not_fit_is_named", (list, [[1]])),
    ],
)
def test_a_broken_adapter_fails(name: str, args: tuple[Any, ...]) -> None:
    """Each way to be wrong fails the test that is named after it."""
    with pytest.raises(AssertionError):
        getattr(AdapterContract(), name)(LaxAdapter(), *args)


class StuckRng:
    """A source that cannot be seeded nor put back."""

    name = "stuck"

    def capture(self) -> Tree:
        return random.random()

    def restore(self, tree: Tree) -> None:
        """Do nothing."""

    def seed(self, seed: int) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("test_a_seed_decides_all", (random.random,)),
        ("test_it_goes_on_where_it_was", (random.random,)),
        ("test_capturing_draws_nothing", ()),
    ],
)
def test_a_broken_source_fails(name: str, args: tuple[Any, ...]) -> None:
    """Each way to be wrong fails the test that is named after it."""
    with pytest.raises(AssertionError):
        getattr(RngContract(), name)(StuckRng(), *args)
