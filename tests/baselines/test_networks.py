"""What the networks are made of, and that each of their parts is at work."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from baselines import config, slices, slicewise, weights
from baselines.catalogue import Baseline
from baselines.config import Config
from baselines.gan.train import Game
from baselines.optimisation import Batch, _Loop, masked_l1
from baselines.unet.network import Translator
from baselines.vae import predict as vae
from baselines.vae.network import ConditionalVAE
from baselines.vae.train import Hybrid
from benchmark.errors import DataError
from benchmark.image import Volume

Tiny = Callable[..., Baseline]
CPU = torch.device("cpu")


def settings(tiny: Tiny, task: str, name: str, **replacements: str) -> Config:
    baseline = tiny(task, name, **replacements)
    return config.load(baseline.config, baseline.family)


def batch(context: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(0)
    stack = torch.randn(2, context, 32, 32, generator=generator)
    return Batch(stack, stack[:, 1:2] * 0.5 + 0.1, (torch.rand(2, 1, 32, 32, generator=generator) > 0.3).float())


def arrays(module: torch.nn.Module) -> weights.Arrays:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def test_masked_l1_by_hand() -> None:
    target, weight = torch.zeros(1, 1, 1, 3), torch.tensor([[[[1.0, 1.0, 0.0]]]])
    some = Batch(target, target, weight)
    assert masked_l1(torch.tensor([[[[1.0, 2.0, 99.0]]]]), some).item() == 1.5
    assert masked_l1(torch.ones(1, 1, 1, 3), Batch(target, target, weight * 0)).item() == 0.0


@pytest.mark.parametrize(
    "network",
    [
        {},
        {
            'kind = "basic_unet"': 'kind = "dncnn"',
            "features = [16, 16, 32, 64, 128, 16]": "features = [8, 8]\ngroups = 0",
        },
    ],
)
def test_a_residual_network_begins_as_the_identity(tiny: Tiny, network: dict[str, str]) -> None:
    model = Translator(settings(tiny, "denoising", "unet", **network))
    stack = batch().stack
    torch.testing.assert_close(model(stack), stack[:, 1:2])


def test_a_shift_by_one_slice_shifts_the_prediction(tiny: Tiny) -> None:
    """Each slice is predicted from its own neighbours, whatever batch it is in."""
    chosen = settings(tiny, "denoising", "unet")
    torch.manual_seed(0)
    model = Translator(chosen).eval()
    torch.nn.init.normal_(model.body.final_conv.weight)  # type: ignore[union-attr,arg-type]
    ct = np.random.default_rng(0).normal(scale=200, size=(6, 32, 32)).astype(np.float32)
    full, part = (
        slicewise.run(lambda stack: (model(stack),), {"low-dose-ct": Volume(array)}, chosen, CPU)[0]
        for array in (ct, ct[1:])
    )
    np.testing.assert_allclose(full[2:], part[1:], atol=0.02)
    assert np.abs(full[1] - part[0]).max() > 1


def test_weights_must_fit_the_network(tiny: Tiny) -> None:
    model = Translator(settings(tiny, "mri_to_ct", "unet"))
    good = arrays(model)
    slicewise.load(model, good, CPU)
    name = next(iter(good))
    for bad in (
        {k: v for k, v in good.items() if k != name},
        {**good, "more": good[name]},
        {**good, name: good[name][:1]},
    ):
        with pytest.raises(DataError, match="do not fit the network"):
            slicewise.load(model, bad, CPU)


def test_critic_and_generator_both_learn_and_only_their_own_loss(tiny: Tiny) -> None:
    chosen = settings(tiny, "mri_to_ct", "gan")
    assert chosen.training is not None
    torch.manual_seed(0)
    game = Game(chosen)
    loop = _Loop(game, chosen.training, CPU)
    before = {name: {k: v.clone() for k, v in p.module.state_dict().items()} for name, p in game.players.items()}
    losses = [loop.step(batch()) for _ in range(3)]
    for name, player in game.players.items():
        moved = {k for k, v in player.module.named_parameters() if not torch.equal(v, before[name][k])}
        assert moved == {k for k, _ in player.module.named_parameters()}, name
    assert {"loss", "l1", "adversarial", "loss_critic"} <= set(losses[0])


def test_the_critic_learns_to_tell_real_from_generated(tiny: Tiny) -> None:
    chosen = settings(tiny, "mri_to_ct", "gan", **{"learning_rate = 2e-4": "learning_rate = 2e-3"})
    assert chosen.training is not None
    torch.manual_seed(0)
    game = Game(chosen)
    optimiser = torch.optim.Adam(game.critic.parameters(), 2e-3)
    some = batch()
    with torch.no_grad():
        game.fake = game.generator(some.stack)
    losses = []
    for _ in range(30):
        loss, _ = game.loss("critic", some)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_the_adversarial_term_reaches_the_generator(tiny: Tiny) -> None:
    gradients = []
    for weight in ("weight = 0.01", "weight = 1"):
        torch.manual_seed(0)
        game = Game(settings(tiny, "mri_to_ct", "gan", **{"weight = 0.01": weight}))
        loss, _ = game.loss("model", batch())
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in game.generator.parameters() if p.grad is not None]))
        assert all(p.grad is None for p in game.critic.parameters())
    assert not torch.allclose(gradients[0], gradients[1])


def mri() -> dict[str, Volume]:
    rng = np.random.default_rng(3)
    body = np.ones((4, 20, 20), np.uint8)
    body[:, :2] = 0
    return {"mri": Volume(rng.gamma(2.0, 50.0, body.shape).astype(np.float32)), "body": Volume(body)}


def test_vae_samples_differ_and_their_mean_is_reproducible(tiny: Tiny) -> None:
    chosen = settings(tiny, "mri_to_ct", "vae")
    torch.manual_seed(0)
    model = ConditionalVAE(chosen)
    predict = vae.predictor(chosen, arrays(model), "cpu")
    inputs = mri()
    first = predict(inputs)
    predict({**inputs, "mri": Volume(inputs["mri"].array[::-1].copy())})
    torch.manual_seed(99)
    again = predict(inputs)
    np.testing.assert_array_equal(first.content, again.content)
    np.testing.assert_array_equal(first.extras["uncertainty"], again.extras["uncertainty"])
    inside = np.asarray(inputs["body"].array) != 0
    assert (first.extras["uncertainty"][inside] > 0).mean() > 0.9
    assert (first.extras["uncertainty"][~inside] == 0).all()
    assert (first.content[~inside] == -1000).all()


def test_vae_mean_and_spread_are_those_of_its_samples(tiny: Tiny) -> None:
    chosen = settings(tiny, "mri_to_ct", "vae")
    assert chosen.latent is not None
    torch.manual_seed(0)
    model = ConditionalVAE(chosen).eval()
    stack = batch().stack
    noise = vae.antithetic(5, chosen.latent.samples, (1, chosen.latent.channels, 4, 4))
    with torch.no_grad():
        samples, scale = model.sample(stack, noise)
        alone = torch.stack([model.sample(stack, one[None])[0][0] for one in noise])
    assert samples.shape == (8, 2, 1, 32, 32)
    torch.testing.assert_close(samples, alone)
    assert (samples[0] - samples[1]).abs().max() > 1e-4
    inputs = mri()
    found = vae.predictor(chosen, arrays(model), "cpu")(inputs).extras["uncertainty"]
    stacked = torch.from_numpy(next(slices.batches(slices.normalise(inputs, chosen.data), 3, 10**6))[1])
    drawn = vae.antithetic(vae.seed_of(inputs["mri"]), 8, (1, chosen.latent.channels, 4, 4))
    with torch.no_grad():
        outputs, scale = model.sample(stacked, drawn)
    total = np.sqrt(outputs.numpy().var(0, ddof=1) + 2 * scale.numpy() ** 2)[:, 0, :20, :20] * chosen.data.scale
    np.testing.assert_allclose(found[:, 2:], total[:, 2:], rtol=1e-4)


def test_the_scale_of_the_vae_learns_without_touching_the_prediction(tiny: Tiny) -> None:
    chosen = settings(tiny, "mri_to_ct", "vae")
    torch.manual_seed(0)
    model = ConditionalVAE(chosen)
    features = model.trunk(batch().stack)
    model.log_scale(features).sum().backward()
    touched = {name for name, p in model.named_parameters() if p.grad is not None}
    assert touched == {name for name, _ in model.named_parameters() if name.startswith("spread.")}


def test_the_scale_becomes_the_size_of_the_error(tiny: Tiny) -> None:
    """The best Laplace scale is the mean absolute error."""
    chosen = settings(tiny, "mri_to_ct", "vae")
    torch.manual_seed(0)
    learner = Hybrid(chosen)
    some, model = batch(), learner.model
    target = torch.distributions.Laplace(0.0, 0.2).sample(some.target.shape)
    some = Batch(some.stack, target, torch.ones_like(some.weight))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.spread.requires_grad_(True)
    torch.nn.init.zeros_(model.combine[-1].conv.weight)  # type: ignore[union-attr,arg-type]
    torch.nn.init.zeros_(model.combine[-1].conv.bias)  # type: ignore[union-attr,arg-type]
    optimiser = torch.optim.Adam(model.spread.parameters(), 0.02)
    for _ in range(150):
        loss, _ = learner.loss("model", some)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    scale = model.log_scale(model.trunk(some.stack)).exp()
    assert scale.mean().item() == pytest.approx(0.2, rel=0.15)


def test_antithetic_noise_comes_in_pairs() -> None:
    noise = vae.antithetic(7, 4, (2, 3))
    torch.testing.assert_close(noise[:2], -noise[2:])
    assert vae.antithetic(7, 3, (2, 3)).shape == (3, 2, 3)
    assert not torch.equal(noise, vae.antithetic(8, 4, (2, 3)))
