"""Training of the conditional VAE with the hybrid objective of Sohn, Lee and Yan (2015).

The evidence bound reconstructs from the posterior, which has seen the output; at test time only the prior is there. The hybrid
objective adds the reconstruction from the prior, so that what is trained is what is used.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits

from baselines.config import Config
from baselines.optimisation import Batch, Player, labelling, masked_l1, masked_mean, reconstruction
from baselines.slices import window_in_units
from baselines.vae.judge import LatentJudge
from baselines.vae.network import ConditionalVAE
from baselines.vae.regularised import RegularisedSegmenter


class Hybrid:
    """One player: reconstruction from posterior and prior, plus KL, plus the likelihood that sets the scale."""

    def __init__(self, config: Config) -> None:
        assert config.loss is not None and config.training is not None and config.latent is not None
        self.loss_terms, self.window, self.latent = config.loss, window_in_units(config), config.latent
        self.model = ConditionalVAE(config)
        self.players = {"model": Player(self.model, config.training.learning_rate)}

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """(1 - prior) · L(posterior) + prior · L(prior) + kl · KL(q‖p) + likelihood of the scale; KL a mean over latents."""
        model = self.model
        features = model.trunk(batch.stack)
        prior = model.prior(batch.stack)
        posterior = model.posterior(torch.cat([batch.stack, batch.target * batch.weight], dim=1))
        seen = model.decode(batch.stack, features, posterior.rsample())
        drawn = model.decode(batch.stack, features, prior.rsample())
        divergence = kl_divergence(posterior, prior).mean()
        total = (
            (1.0 - self.latent.prior) * reconstruction(self.loss_terms, self.window, seen, batch)
            + self.latent.prior * reconstruction(self.loss_terms, self.window, drawn, batch)
            + self.latent.kl * divergence
        )
        # Laplace likelihood of the reference around a sample of the prior; it moves the head of the scale alone.
        log_scale = model.log_scale(features)
        error = (drawn.detach().float() - batch.target).abs()
        likelihood = masked_mean(error * torch.exp(-log_scale) + log_scale, batch.weight)
        numbers = {"l1": float(masked_l1(drawn.detach().float(), batch)), "kl": float(divergence.detach())}
        return total + likelihood, {**numbers, "nll": float(likelihood.detach())}


class Regularised:
    """One player: the labels' loss, the input given back, and the KL of the latent field from a standard normal one."""

    def __init__(self, config: Config) -> None:
        assert config.loss is not None and config.training is not None and config.latent is not None
        self.terms, self.labels, self.latent = config.loss, config.data.labels, config.latent
        self.model = RegularisedSegmenter(config)
        self.players = {"model": Player(self.model, config.training.learning_rate)}

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Labels + reconstruction · mean squared error + kl · KL, the KL as a mean over latent numbers."""
        scores, again, field = self.model.both(batch.stack)
        error = torch.mean((again.float() - batch.stack) ** 2)
        divergence = kl_divergence(field, Normal(torch.zeros_like(field.mean), torch.ones_like(field.mean))).mean()
        total = labelling(self.terms, self.labels, scores, batch)
        total = total + self.latent.reconstruction * error + self.latent.kl * divergence
        return total, {"reconstruction": float(error.detach()), "kl": float(divergence.detach())}


class Judging:
    """One player: the cross entropy of the classifier on a sample of the latent numbers, the cube given back, and the KL."""

    def __init__(self, config: Config) -> None:
        assert config.training is not None and config.latent is not None
        self.terms = config.latent
        self.model = LatentJudge(config)
        self.players = {"model": Player(self.model, config.training.learning_rate)}

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy + reconstruction · mean squared error + kl · KL, the KL as a mean over latent numbers."""
        field = self.model.latent(batch.stack)
        sample = field.rsample()
        entropy = binary_cross_entropy_with_logits(self.model.classifier(sample), batch.target)
        error = torch.mean((self.model.decoder(sample).float() - batch.stack) ** 2)
        divergence = kl_divergence(field, Normal(torch.zeros_like(field.mean), torch.ones_like(field.mean))).mean()
        total = entropy + self.terms.reconstruction * error + self.terms.kl * divergence
        return total, {
            "entropy": float(entropy.detach()),
            "reconstruction": float(error.detach()),
            "kl": float(divergence.detach()),
        }


def learner(config: Config) -> Hybrid | Regularised | Judging:
    """Networks and losses of this family."""
    if config.detection:
        return Judging(config)
    return Regularised(config) if config.data.labels else Hybrid(config)
