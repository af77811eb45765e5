"""torch: what evertrain needs to save and restore its objects exactly.

Nothing here is imported by hand: the plugin is found once the program has
imported torch. `run.attach(model=module, optimizer=optimizer)` is all.

Layer: integrations. Imports checkpoint and core.
"""

from typing import Final

from evertrain.checkpoint.plugin import Plugin
from evertrain.integrations.torch.codec import (
    DeviceCodec,
    DtypeCodec,
    GeneratorCodec,
    SizeCodec,
    TensorCodec,
)
from evertrain.integrations.torch.describe import describe
from evertrain.integrations.torch.device import gathering
from evertrain.integrations.torch.module import ModuleAdapter
from evertrain.integrations.torch.optimizer import OptimizerAdapter
from evertrain.integrations.torch.plain import (
    DataLoaderRefusal,
    GeneratorAdapter,
    ScalerAdapter,
    TensorAdapter,
)
from evertrain.integrations.torch.rng import TorchRng
from evertrain.integrations.torch.scheduler import SchedulerAdapter
from evertrain.integrations.torch.weights import load_weights

__all__ = ["PLUGIN"]

PLUGIN: Final = Plugin(
    codecs=(TensorCodec(), SizeCodec(), DeviceCodec(), DtypeCodec(), GeneratorCodec()),
    adapters=(
        ModuleAdapter(),
        OptimizerAdapter(),
        SchedulerAdapter(),
        ScalerAdapter(),
        TensorAdapter(),
        GeneratorAdapter(),
        DataLoaderRefusal(),
    ),
    rngs=(TorchRng(),),
    describe=describe,
    gathering=gathering,
    load_weights=load_weights,
)
