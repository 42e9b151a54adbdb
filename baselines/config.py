"""What a baseline's `<task>.toml` may say. Everything that tells one task from another stands there, not in the code."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError, model_validator

from baselines.sections import Critic, Data, Detection, Fit, Latent, Loss, Network, Training
from benchmark.contract import Record
from benchmark.errors import UsageError


class About(Record):
    """`[method]`: what the leaderboard shows."""

    title: str
    """Name on the leaderboard."""
    description: str
    """What it does, in a few sentences."""
    citation: str
    """How to cite the method."""
    licence: str = "Apache-2.0"
    """Licence of code and weights."""
    remark: str = ""
    """What else was looked at while settings or data were chosen, for the card; empty where nothing was but the val split."""


class Config(Record):
    """A whole `<task>.toml`."""

    method: About
    data: Data
    detection: Detection | None = None
    fit: Fit | None = None
    network: Network | None = None
    loss: Loss | None = None
    critic: Critic | None = None
    latent: Latent | None = None
    training: Training | None = None

    @model_validator(mode="after")
    def _labels(self) -> Config:
        of_labels = self.loss is not None and bool(self.loss.cross_entropy or self.loss.dice)
        if self.loss is not None and of_labels != bool(self.data.labels):
            raise ValueError("loss: expected cross_entropy or dice exactly where data.labels is given")
        if self.loss is not None and {x for region in self.loss.regions for x in region} - set(self.data.labels):
            raise ValueError(f"loss.regions: expected labels among {list(self.data.labels)}")
        return self

    @property
    def channels_in(self) -> int:
        """Channels of the stack that a network sees."""
        return self.data.context * len(self.data.images)

    @property
    def channels_out(self) -> int:
        """Channels that a network gives: a value, or a score for each label."""
        return len(self.data.labels) or 1


SECTIONS: dict[str, frozenset[str]] = {
    "classical": frozenset({"fit"}),
    "unet": frozenset({"network", "loss", "training"}),
    "gan": frozenset({"network", "loss", "critic", "training"}),
    "vae": frozenset({"network", "loss", "latent", "training"}),
}
"""Sections that each family needs besides `[method]` and `[data]`, and the only ones that it may have."""

OF_POINTS: dict[str, frozenset[str]] = {
    "classical": frozenset({"fit"}),
    "unet": frozenset({"network", "loss", "training"}),
    "gan": frozenset({"critic", "latent", "training"}),
    "vae": frozenset({"latent", "training"}),
}
"""The same where the output is points, for a configuration with `[detection]`."""


def load(path: Path, family: str) -> Config:
    """Read and check a baseline's configuration.

    Raises `UsageError`: `path` when there is no such file, `bad_value` naming file, key and expectation otherwise.
    """
    try:
        config = Config.model_validate(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise UsageError("path", f"there is no {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError("bad_value", f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        raise UsageError(
            "bad_value",
            f"{path}: "
            + "; ".join(
                f"key {'.'.join(map(str, item['loc'])) or '(whole file)'}: {item['msg']}" for item in error.errors()
            ),
            action="Mend the key in that file.",
        ) from None
    optional = set(Config.model_fields) - {"method", "data", "detection"}
    given = {name for name in optional if getattr(config, name) is not None}
    needed = (OF_POINTS if config.detection else SECTIONS)[family]
    wrong = sorted(given ^ needed)
    if wrong:
        raise UsageError(
            "bad_value",
            f"{path}: "
            + "; ".join(f"section [{name}] {'is not known' if name in given else 'is missing'}" for name in wrong),
            expected=f"for {family}: {', '.join(sorted(needed))}",
            action="Mend that file.",
        )
    return config
