"""Episodes that are still being played when an iteration of RLlib ends.

RLlib cuts them into pieces: what was played is learned from, and the next iteration
goes on with the rest. Its own checkpoints drop them. Here each is taken apart and
built again by its constructor; their wall-clock times are left out.

Layer: integrations. Imports checkpoint only, and its siblings.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.rllib.spaces import Table

Episode = SingleAgentEpisode | MultiAgentEpisode
Mapper = Callable[..., Any]

_BUFFERS: Final = ("observations", "actions", "rewards", "infos")
_SINGLE: Final = ("is_terminated", "is_truncated", "t", "t_started", "_custom_data")
_LAST: Final = ("_last_added_observation", "_last_added_infos")
_MULTI: Final = (
    "_len_lookback_buffers",
    "env_t_started",
    "env_t",
    "is_terminated",
    "is_truncated",
    "_custom_data",
)
# Dicts of the agents whose step is not complete, and of where each of them began.
_BY_AGENT: Final = (
    "_agent_to_module_mapping",
    "agent_t_started",
    "_hanging_actions_end",
    "_hanging_extra_model_outputs_end",
    "_hanging_rewards_end",
    "_hanging_rewards_begin",
)


def take(episode: Episode | None, spaces: Table, ids: list[str]) -> Tree:
    """Return an episode as a tree; None for none.

    Args:
        episode: Of one agent or of many.
        spaces: Gets its spaces.
        ids: Gets the ids that RLlib has drawn.
    """
    if episode is None:
        return None
    if isinstance(episode, MultiAgentEpisode):
        return _take_multi(episode, spaces, ids)
    return _take_single(episode, spaces, ids)


def build(tree: Tree, spaces: Table, mapper: Mapper | None) -> Episode | None:
    """Return the episode that was taken apart.

    Args:
        tree: What `take` returned.
        spaces: The table that was stored beside it.
        mapper: The program's `policy_mapping_fn`, for agents that join later.
    """
    if tree is None:
        return None
    return _build_multi(tree, spaces, mapper) if "agents" in tree else _build_single(tree, spaces)


def _take_single(episode: SingleAgentEpisode, spaces: Table, ids: list[str]) -> Tree:
    ids.append(episode.id_)
    return {
        "id": episode.id_,
        "agent": [episode.agent_id, episode.module_id, episode.multi_agent_episode_id],
        "spaces": [spaces.index(episode.observation_space), spaces.index(episode.action_space)],
        "buffers": {name: _take_buffer(getattr(episode, name), spaces) for name in _BUFFERS},
        "outputs": [
            [key, _take_buffer(each, spaces)] for key, each in episode.extra_model_outputs.items()
        ],
        "state": {name: getattr(episode, name) for name in _SINGLE},
        "last": [getattr(episode, name) for name in _LAST],
    }


def _build_single(tree: Tree, spaces: Table) -> SingleAgentEpisode:
    agent, module, parent = tree["agent"]
    observation, action = (spaces.at(each) for each in tree["spaces"])
    episode = SingleAgentEpisode(
        id_=tree["id"],
        agent_id=agent,
        module_id=module,
        multi_agent_episode_id=parent,
        observation_space=observation,
        action_space=action,
    )
    for name, stored in tree["buffers"].items():
        _fill_buffer(getattr(episode, name), stored, spaces)
    for key, stored in tree["outputs"]:
        episode.extra_model_outputs[key] = _fill_buffer(InfiniteLookbackBuffer(), stored, spaces)
    for name, value in tree["state"].items():
        setattr(episode, name, value)
    for name, value in zip(_LAST, tree["last"], strict=True):
        setattr(episode, name, value)
    return episode


def _take_multi(episode: MultiAgentEpisode, spaces: Table, ids: list[str]) -> Tree:
    ids.append(episode.id_)
    return {
        "id": episode.id_,
        "spaces": [
            [[agent, spaces.index(each)] for agent, each in known.items()]
            for known in _spaces_of(episode)
        ],
        "state": {name: getattr(episode, name) for name in _MULTI},
        "by_agent": {name: _pairs(getattr(episode, name)) for name in _BY_AGENT},
        "steps": [
            [agent, _take_buffer(each, spaces)] for agent, each in episode.env_t_to_agent_t.items()
        ],
        "agents": [
            [agent, _take_single(each, spaces, ids)]
            for agent, each in episode.agent_episodes.items()
        ],
    }


def _build_multi(tree: Tree, spaces: Table, mapper: Mapper | None) -> MultiAgentEpisode:
    observation, action = (
        {agent: spaces.at(place) for agent, place in known} for known in tree["spaces"]
    )
    build_episode: Any = MultiAgentEpisode  # its signature says otherwise than its code
    episode: MultiAgentEpisode = build_episode(
        id_=tree["id"],
        observation_space=observation,
        action_space=action,
        agent_to_module_mapping_fn=mapper,
    )
    for name, value in tree["state"].items():
        setattr(episode, name, value)
    for name, pairs in tree["by_agent"].items():
        getattr(episode, name).update(dict(pairs))  # they have default values, which stay
    for agent, stored in tree["steps"]:
        _fill_buffer(episode.env_t_to_agent_t[agent], stored, spaces)
    for agent, stored in tree["agents"]:
        episode.agent_episodes[agent] = _build_single(stored, spaces)
    return episode


def _spaces_of(episode: Any) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
    return episode.observation_space, episode.action_space


def _take_buffer(buffer: InfiniteLookbackBuffer, spaces: Table) -> Tree:
    return {
        "data": len(buffer.data) if _is_blank(buffer.data) else buffer.data,
        "lookback": buffer.lookback,
        "finalized": buffer.finalized,
        "space": spaces.index(buffer.space),
    }


def _fill_buffer(
    buffer: InfiniteLookbackBuffer, tree: Tree, spaces: Table
) -> InfiniteLookbackBuffer:
    data = tree["data"]
    buffer.data = [{} for _ in range(data)] if type(data) is int else data
    buffer.lookback = tree["lookback"]
    buffer.finalized = tree["finalized"]
    buffer.space = spaces.at(tree["space"])
    return buffer


def _is_blank(data: object) -> bool:
    """Say whether it is a list of empty dicts: the infos of most environments."""
    return isinstance(data, list) and all(isinstance(each, dict) and not each for each in data)


def _pairs(found: Mapping[Any, Any]) -> list[list[Any]]:
    return [[key, value] for key, value in found.items()]
