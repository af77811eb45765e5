"""The runners of an algorithm, here and in processes of their own, asked one by one.

Layer: integrations. Imports checkpoint and core.
"""

from collections.abc import Callable
from typing import Any, Final

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.core.errors import EnvError, StateError

ANSWER_S: Final = 60.0  # as long as RLlib itself waits for samples


def groups_of(algorithm: Any) -> list[Any]:
    """Return the group that trains, and the one that evaluates if there is one."""
    groups = (algorithm.env_runner_group, algorithm.eval_env_runner_group)
    return [group for group in groups if group is not None]


def indices_of(group: Any) -> list[int]:
    """Return the numbers of a group's runners; the local one is number 0."""
    local = [] if group.local_env_runner is None else [0]
    return [*local, *group._worker_manager.actor_ids()]  # noqa: SLF001


def remember(algorithm: Any) -> Callable[[Tree], list[Mismatch]]:
    """Return what tells how the runners of a stored state are not as many as there are here."""
    here = [len(indices_of(group)) for group in groups_of(algorithm)]

    def misfits(tree: Tree) -> list[Mismatch]:
        there = [len(each) for each in tree["runners"]]
        problem = f"{_in_words(there)} there, {_in_words(here)} here"
        return [] if there == here else [Mismatch("runners", problem)]

    return misfits


def ask(group: Any, act: Callable[[Any], Tree], index: int) -> Tree | None:
    """Return what `act` returns for one runner, in that runner's process; None if it is gone.

    Args:
        group: Of runners.
        act: Takes the runner. What it returns says `error` if it failed.
        index: Which one.

    Raises:
        StateError: It failed.
    """
    if index == 0:
        return checked(act(group.local_env_runner))
    answers = group.foreach_env_runner(
        act, local_env_runner=False, remote_worker_ids=[index], timeout_seconds=ANSWER_S
    )
    return checked(answers[0]) if answers else None


def tell(group: Any, act: Callable[[Any], Tree], index: int) -> None:
    """Have a runner that was just made do something.

    Raises:
        StateError: It failed.
        EnvError: It is gone already.
    """
    if ask(group, act, index) is None:
        raise EnvError(
            f"runner {index} did not answer in {ANSWER_S:g} s, or is gone.",
            "it has only just been started.",
            "Look above for its own message; the next start goes on from the same checkpoint.",
        )


def checked(answer: Tree) -> Tree:
    """Return an answer that is none of a failure.

    Raises:
        StateError: It is.
    """
    if "error" in answer:
        raise StateError(
            f"a part of the algorithm could not tell or take back its state: {answer['error']}",
            "a resumed run could not go on from where it was.",
            "Look at what it names; a class of your own needs get_state and set_state.",
        )
    return answer


def _in_words(counts: list[int]) -> str:
    return " and ".join(f"{count} runners" for count in counts) or "no runners"
