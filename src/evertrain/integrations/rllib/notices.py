"""What of a training is not kept, said once for each algorithm.

Layer: integrations. Imports nothing from evertrain.
"""

import warnings
from typing import Any
from weakref import WeakKeyDictionary

_SAID: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


def say_once(algorithm: Any, text: str) -> None:
    """Warn of something, unless this algorithm's people were told so already.

    Args:
        algorithm: Whose training it is.
        text: What a resumed training will not have.
    """
    said = _SAID.setdefault(algorithm, set())
    if text not in said:
        said.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=3)
