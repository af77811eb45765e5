"""Settings: one YAML file, the environment and the command line, with every fault named.

Import this package only where a configuration is really needed: it loads pydantic.
"""

from evertrain.config.fault import Fault
from evertrain.config.layer import Origin
from evertrain.config.resolve import Resolved, examine, resolve

__all__ = ["Fault", "Origin", "Resolved", "examine", "resolve"]
