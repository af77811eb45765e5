"""What of bluesky-gym is flown here, and the numbers that make it easy or hard.

Layer: integrations. Imports core only.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from evertrain.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One environment of bluesky-gym.

    Attributes:
        module: Where its class is.
        name: Of its class.
        step_s: Simulated time of one step of the simulator, as bluesky-gym has it, seconds.
        steps_per_action: Steps of the simulator between two actions, as bluesky-gym has it.
        episode_actions: Actions after which bluesky-gym ends an episode.
        separation_nm: Two aircraft that come closer intrude on each other, nautical miles.
        place_unit_m: What an observation's numbers "x_r" and "y_r" are multiples of, m.
        speed_units_m_s: What an observation's numbers "vx_r" and "vy_r" are multiples of, m/s.
        constants: From a multiple of the usual traffic to the module's constants that make it.
    """

    module: str
    name: str
    step_s: float
    steps_per_action: int
    episode_actions: int
    separation_nm: float
    place_unit_m: float
    speed_units_m_s: Mapping[str, float]
    constants: Callable[[float], Mapping[str, float]]


def _sector_constants(traffic: float) -> Mapping[str, float]:
    """Aircraft per square nautical mile: mean and standard deviation over the episodes."""
    return {"AC_DENSITY_MU": 0.005 * traffic, "AC_DENSITY_SIGMA": 0.001 * traffic}


def _merge_constants(traffic: float) -> Mapping[str, float]:
    """All aircraft, the own one too; the observation shows the five next to it."""
    return {"NUM_AC": max(6, round(20 * traffic))}


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "sector": Scenario(
        module="bluesky_gym.envs.sector_cr_env",
        name="SectorCREnv",
        step_s=1.0,
        steps_per_action=5,
        episode_actions=200,
        separation_nm=5.0,
        place_unit_m=13_000.0,
        speed_units_m_s={"vx_r": 32.0, "vy_r": 66.0},
        constants=_sector_constants,
    ),
    "merge": Scenario(
        module="bluesky_gym.envs.merge_env",
        name="MergeEnv",
        step_s=5.0,
        steps_per_action=10,
        episode_actions=50,
        separation_nm=4.0,
        place_unit_m=1_000_000.0,
        speed_units_m_s={"vx_r": 150.0, "vy_r": 150.0},
        constants=_merge_constants,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Physics:
    """How a scenario is simulated.

    Attributes:
        scenario: A key of `SCENARIOS`.
        step_s: Simulated time of one step of the simulator, seconds. Fewer and longer steps
            are faster and coarser.
        steps_per_action: Steps of the simulator between two actions.
        traffic: Other aircraft, as a multiple of the usual number.

    Raises:
        ConfigError: There is no such scenario, or a number is not positive.
    """

    scenario: str
    step_s: float
    steps_per_action: int
    traffic: float = 1.0

    @classmethod
    def usual(cls, scenario: str = "sector") -> "Physics":
        """Return the physics that bluesky-gym gives a scenario."""
        own = _named(scenario)
        return cls(scenario=scenario, step_s=own.step_s, steps_per_action=own.steps_per_action)

    def __post_init__(self) -> None:
        """Reject what cannot be simulated."""
        _named(self.scenario)
        numbers = {name: each for name, each in asdict(self).items() if name != "scenario"}
        broken = [f"{name} is {value}" for name, value in numbers.items() if not value > 0]
        if broken:
            raise ConfigError(
                f"{'; '.join(broken)}.", "time and traffic are positive.", "Give more than 0."
            )

    def constants(self) -> dict[str, Any]:
        """Return what the constants of the scenario's module have to be."""
        traffic = SCENARIOS[self.scenario].constants(self.traffic)
        return {"ACTION_FREQUENCY": self.steps_per_action, **traffic}


def _named(scenario: str) -> Scenario:
    if scenario not in SCENARIOS:
        raise ConfigError(
            f"there is no scenario {scenario!r}.",
            f"of bluesky-gym, these resume exactly: {', '.join(SCENARIOS)}.",
            "Name one of them.",
        )
    return SCENARIOS[scenario]
