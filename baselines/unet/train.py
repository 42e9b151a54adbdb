"""Training of the U-Net: L1 regression, or cross entropy and soft Dice where the output is labels."""

from __future__ import annotations

from torch import Tensor

from baselines.config import Config
from baselines.optimisation import Batch, Player, heat, labelling, masked_l1, reconstruction
from baselines.slices import window_in_units
from baselines.unet.network import Translator, start_cold


class Regression:
    """One player, the reconstruction loss."""

    def __init__(self, config: Config) -> None:
        assert config.loss is not None and config.training is not None
        self.loss_terms, self.window = config.loss, window_in_units(config)
        self.model = Translator(config)
        self.players = {"model": Player(self.model, config.training.learning_rate)}

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The L1 terms."""
        prediction = self.model(batch.stack)
        total = reconstruction(self.loss_terms, self.window, prediction, batch)
        return total, {"l1": float(masked_l1(prediction.detach().float(), batch))}


class Labelling:
    """One player, the labels' loss."""

    def __init__(self, config: Config) -> None:
        assert config.loss is not None and config.training is not None
        self.terms, self.labels = config.loss, config.data.labels
        self.model = Translator(config)
        self.players = {"model": Player(self.model, config.training.learning_rate)}

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy and soft Dice."""
        return labelling(self.terms, self.labels, self.model(batch.stack), batch), {}


class Heat:
    """One player, the heat map's loss."""

    def __init__(self, config: Config) -> None:
        assert config.loss is not None and config.training is not None
        self.terms = config.loss
        self.model = Translator(config)
        start_cold(self.model)
        self.players = {"model": Player(self.model, config.training.learning_rate)}

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The quality focal loss."""
        return heat(self.terms, self.model(batch.stack), batch), {}


def learner(config: Config) -> Regression | Labelling | Heat:
    """Networks and losses of this family."""
    if config.detection:
        return Heat(config)
    return Labelling(config) if config.data.labels else Regression(config)
