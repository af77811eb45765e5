"""All workers together: they are asked, and heard in time.

Layer: integrations. Imports its siblings and core.
"""

import socket
from collections.abc import Iterable
from multiprocessing.context import BaseContext
from typing import Any, Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import UsageError
from evertrain.core.patience import Patience
from evertrain.integrations.sb3.resilient.limits import EnvLimits, Learned
from evertrain.integrations.sb3.resilient.remote import LostError, Remote
from evertrain.integrations.sb3.resilient.restart import Failure, Phase
from evertrain.integrations.sb3.resilient.worker import Source

_DONE: Final = 3  # member of the answer to a step

Answers = list[Any]


class Crew:
    """The workers of a vector, by index.

    Args:
        sources: Where the environments of each index come from.
        context: How processes are started.
        limits: When one of them hangs.
        clock: Source of the time.

    Attributes:
        remotes: The connections.
        lost: Workers that are gone and not replaced yet: index -> how.
        pending: What is still to be heard: index -> phase.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        context: BaseContext,
        limits: EnvLimits,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Start the keepers."""
        self._limits = limits
        self._clock = clock
        self._learned = {"step": Learned(), "reset": Learned()}
        self.lost: dict[int, Failure] = {}
        self.pending: dict[int, Phase] = {}
        self.remotes: list[Remote] = []
        for source in sources:
            self.remotes.append(Remote(context, source, self._sockets, clock=clock))

    def ask(self, index: int, message: bytes, phase: Phase) -> None:
        """Give an order; whoever cannot be reached is lost.

        Raises:
            UsageError: It still owes the answer to another one.
        """
        if index in self.pending:
            raise UsageError(
                f"environment {index} still owes the answer to a {self.pending[index]}.",
                "answers come in the order of the questions.",
                "Call step_wait() first.",
            )
        if index in self.lost:
            return
        try:
            self.remotes[index].ask(message, self._patience("call"))
        except LostError as error:
            self.lost[index] = error.failure
        else:
            self.pending[index] = phase

    def expect(self, index: int, phase: Phase) -> None:
        """Wait for an answer that nobody asked for: a worker tells when it is built."""
        self.pending[index] = phase

    def hear(self, phase: Phase, indices: Iterable[int]) -> Answers:
        """Return the answers by index; None for those from which this one is not pending.

        Whoever does not answer is lost.
        """
        answers: Answers = [None] * len(self.remotes)
        patience = self._patience(phase)
        heard = False
        for index in indices:
            if self.pending.get(index) != phase:
                continue
            try:
                answers[index] = answer = self.remotes[index].answer(phase, patience)
            except LostError as error:
                self.lost[index] = error.failure
                del self.pending[index]
                continue
            heard = True
            if phase == "step" and answer[_DONE]:
                self.pending[index] = "reset"
            else:
                del self.pending[index]
        if heard and phase in self._learned and patience.left_s > 0:
            self._learned[phase].see(patience.spent_s)
        return answers

    def ask_all(self, indices: Iterable[int], message: bytes) -> Answers:
        """Give each the same order, and return the answers by index; None of those now lost."""
        chosen = list(indices)
        for index in chosen:
            self.ask(index, message, "call")
        return self.hear("call", chosen)

    def drain(self) -> None:
        """Hear whatever is still pending, and forget it."""
        while self.pending:
            self.hear(next(iter(self.pending.values())), range(len(self.remotes)))

    def close(self) -> None:
        """Let every environment close itself, and end what does not end in time."""
        close_s = self._limits.close_s
        for remote in self.remotes:
            remote.let_go(close_s)
        for remote in self.remotes:
            remote.bury(close_s)
        for remote in self.remotes:
            remote.leave(close_s)

    def _patience(self, phase: Phase) -> Patience:
        fixed_s: float | None = getattr(self._limits, f"{phase}_s")
        if fixed_s is None:
            fixed_s = self._learned[phase].limit_s(self._limits)
        return Patience(fixed_s, clock=self._clock)

    def _sockets(self) -> list[socket.socket]:
        return [each for remote in self.remotes for each in remote.sockets]
