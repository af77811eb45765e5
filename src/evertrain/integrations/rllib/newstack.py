"""An algorithm of RLlib's new API stack, whole: learners, runners, metrics, counters.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from evertrain.checkpoint.plugin import INFERENCE, Mismatch, Tree
from evertrain.core.errors import StateError
from evertrain.integrations.envs.method import AUTO, BARRIER
from evertrain.integrations.rllib import (
    callbacks,
    environments,
    groups,
    learner,
    names,
    probe,
    runner,
    stats,
)
from evertrain.integrations.rllib.groups import ANSWER_S, ask, checked, groups_of, indices_of, tell
from evertrain.integrations.rllib.inference import describe_policies
from evertrain.integrations.rllib.notices import say_once

_ASYNCHRONOUS: Final = "IMPALA"  # APPO is one, too
_COUNTERS: Final = ("_iteration", "_timesteps_total", "_episodes_total")


def take(algorithm: Any) -> Tree:
    """Return the state of an algorithm between two iterations.

    A remote runner that is gone is None: RLlib starts another one, whose episodes begin anew.

    Raises:
        StateError: It keeps what is not known here, or a part of it cannot tell its state.
    """
    refuse_unknown(algorithm)
    keeping = environments.of(algorithm) or choose(algorithm)
    ids: list[str] = []
    runners = [list(_runners(group, keeping.method)) for group in groups_of(algorithm)]
    _say_what_is_lost(algorithm, [each for group in runners for each in group])
    learners = [_kept(each, ids) for each in _learners(algorithm)]
    weights = [each.pop("modules") for each in learners]  # equal, where there are several
    tree = {
        INFERENCE: describe_policies(algorithm),
        "weights": weights[0],
        "environments": keeping.method,
        "counters": {name: getattr(algorithm, name) for name in _COUNTERS},
        "learners": learners,
        "runners": [[each and _kept(each, ids) for each in group] for group in runners],
        "connectors": [
            None if each is None else each.get_state()
            for each in (algorithm.env_to_module_connector, algorithm.module_to_env_connector)
        ],
        "callbacks": callbacks.take(algorithm.callbacks),
        "metrics": stats.take(algorithm.metrics, ids),
    }
    found: Tree = names.numbered(tree, ids)
    return found


def put(algorithm: Any, tree: Tree) -> None:
    """Put everything back: learners first, for runners play with their weights.

    Raises:
        StateError: A part could not take its state back.
        EnvError: A remote runner is gone already.
    """
    pid, method = os.getpid(), tree["environments"]
    environments.agree(algorithm, method)
    for name, value in tree["counters"].items():
        setattr(algorithm, name, value)
    _put_learners(algorithm, _learners_in(tree), pid)
    for group, trees in zip(groups_of(algorithm), tree["runners"], strict=True):
        _sync_weights(algorithm, group)
        for stored in filter(None, trees):
            act = partial(runner.put, tree=stored, trainer_pid=pid, method=method)
            tell(group, act, stored["index"])
    for connector, state in zip(
        (algorithm.env_to_module_connector, algorithm.module_to_env_connector),
        tree["connectors"],
        strict=True,
    ):
        if connector is not None and state is not None:
            connector.set_state(state)
    callbacks.put(algorithm.callbacks, tree["callbacks"])
    stats.put(algorithm.metrics, tree["metrics"])


def choose(algorithm: Any, wanted: str = AUTO) -> environments.Keeping:
    """Decide how the state of its environments is kept; each runner is asked, and they agree.

    Raises:
        StateError: A runner could not.
    """
    found = environments.Keeping(BARRIER, ((wanted, "no runner has environments"),))
    act = partial(runner.choose, wanted=wanted)
    for group in groups_of(algorithm):
        for index in indices_of(group):
            answer = ask(group, act, index)
            if answer is not None and answer["method"] is not None:
                found = environments.Keeping(answer["method"], answer["reasons"])
                act = partial(runner.choose, wanted=found.method)
    return environments.decide(algorithm, found)


def reset(algorithm: Any, seed: int) -> None:
    """Let all episodes begin anew when they are next played, drawn from `seed`.

    Raises:
        StateError: A runner could not.
    """
    act = partial(runner.reset, seed=seed, trainer_pid=os.getpid())
    for group in groups_of(algorithm):
        for index in indices_of(group):
            ask(group, act, index)  # whoever is gone begins anew by itself


def remember(algorithm: Any) -> Callable[[Tree], list[Mismatch]]:
    """Return what tells how a stored state does not fit this algorithm."""
    local = algorithm.learner_group._learner  # noqa: SLF001
    judge = None if local is None else learner.remember(local)
    able = callbacks.names(algorithm.callbacks)
    compare = groups.remember(algorithm)

    def misfits(tree: Tree) -> list[Mismatch]:
        found = compare(tree)
        found += callbacks.misfits(able, tree["callbacks"])
        strange = stats.strange(tree["metrics"])
        if strange is not None:
            found.append(Mismatch("metrics", f"{strange} there, which this Ray does not have"))
        if judge is not None and tree["learners"]:
            found += judge(_learners_in(tree)[0])
        return found

    return misfits


def strangers(algorithm: Any) -> list[str]:
    """Return what this RLlib keeps elsewhere, in words; those of remote runners are like ours."""
    return probe.strangers(algorithm.env_runner_group.local_env_runner)


def refuse_unknown(algorithm: Any) -> None:
    """Refuse an algorithm that keeps what is not known here.

    Raises:
        StateError: It does.
    """
    problem = None
    if algorithm.local_replay_buffer is not None:
        problem = "it keeps a replay buffer"
    elif algorithm.offline_data is not None:
        problem = "it learns from recorded data"
    elif _ASYNCHRONOUS in {each.__name__ for each in type(algorithm).__mro__}:
        problem = "it learns from batches that come in whatever order they are ready"
    if problem:
        raise StateError(
            f"a {type(algorithm).__name__} is attached: {problem}.",
            "a resumed run would not go on exactly.",
            "Keep RLlib's own files, from which it goes on inexactly:"
            " algorithm.save_to_path(PATH).",
        )


def _learners(algorithm: Any) -> Iterator[Tree]:
    act = partial(learner.take, trainer_pid=os.getpid())
    yield from _results(algorithm.learner_group.foreach_learner(act, timeout_seconds=ANSWER_S))


def _put_learners(algorithm: Any, trees: list[Tree], pid: int) -> None:
    group = algorithm.learner_group
    for index, stored in enumerate(trees):
        act = partial(learner.put, tree=stored, trainer_pid=pid)
        which = {} if group.is_local else {"remote_actor_ids": [index]}
        for answer in _results(group.foreach_learner(act, **which)):
            checked(answer)


def _learners_in(tree: Tree) -> list[Tree]:
    return [{**each, "modules": tree["weights"]} for each in tree["learners"]]


def _results(found: Any) -> Iterator[Tree]:
    for each in found:
        yield each.get() if each.ok else {"error": f"{type(each.get()).__name__}: {each.get()}"}


def _runners(group: Any, method: str) -> Iterator[Tree | None]:
    act = partial(runner.take, trainer_pid=os.getpid(), method=method)
    for index in indices_of(group):
        yield ask(group, act, index)


def _say_what_is_lost(algorithm: Any, answers: list[Tree | None]) -> None:
    there = [checked(each) for each in answers if each is not None]
    if len(there) < len(answers):
        say_once(
            algorithm,
            f"{len(answers) - len(there)} of {len(answers)} runners are gone, or did not answer in"
            f" {ANSWER_S:g} s: a training that is resumed from this checkpoint does not go on"
            " exactly",
        )
    forgotten = callbacks.forgotten(algorithm.callbacks)
    forgotten += [name for each in there for name in each["forgotten"]]
    if forgotten:
        say_once(algorithm, callbacks.sentence(forgotten))
    if any(each["is_lost"] for each in there):
        say_once(
            algorithm,
            "a checkpoint does not hold the episodes that are open in a runner, for what was done"
            " in them is not known: resumed from it, they begin anew, which is not exact",
        )


def _sync_weights(algorithm: Any, group: Any) -> None:
    """Give the learners' weights to the runners, whatever they have."""
    if group.local_env_runner is not None:
        group.local_env_runner._weights_seq_no = 0  # noqa: SLF001
    group.sync_weights(
        from_worker_or_learner_group=algorithm.learner_group,
        timeout_seconds=ANSWER_S,
        inference_only=True,
    )


def _kept(answer: Tree, ids: list[str]) -> Tree:
    checked(answer)
    ids += answer["ids"]
    return answer["tree"]
