"""What attacks have in common that only ask: about the inputs first, then until they are found or may not be asked."""

from abc import abstractmethod

import torch
from torch import Tensor

from garrison.robustness.attacks.attack import Outcome, Progress, generator
from garrison.robustness.attacks.checked import CheckedAttack
from garrison.robustness.attacks.ledger import Ledger
from garrison.robustness.classifier import Classifier, QueriesSpent


class BlackBoxAttack(CheckedAttack):
    """An attack that needs no gradients. Where the model may not be asked any more, what was found counts."""

    def _attacked(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: tuple[float, ...],
        seed: int,
        progress: Progress,
    ) -> Outcome:
        ledger = Ledger(classifier, inputs, labels, epsilons, self.norm)
        try:
            scores = ledger.ask(inputs, torch.arange(len(inputs), device=inputs.device))
            self._search(ledger, scores, generator(seed, inputs.device), progress)
        except QueriesSpent as spent:
            return ledger.outcome(str(spent))
        return ledger.outcome()

    @abstractmethod
    def _search(self, ledger: Ledger, scores: Tensor, random: torch.Generator, progress: Progress) -> None:
        """Ask about points near the inputs, whose own `scores` (n, classes) are known."""
