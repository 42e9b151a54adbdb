"""The sections of a baseline's `<task>.toml`: data, method, network, loss, training. `config` puts them together and reads the file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from benchmark.contract import Name, Record


class Data(Record):
    """`[data]`: which volumes go in and how their values become numbers about 1."""

    input: Name
    """Slug of the input socket that holds the image; with `channels`, the one that gives the grid its name in messages."""
    channels: tuple[Name, ...] = ()
    """Slugs of all input sockets that hold an image, in the network's order; empty: `input` alone. One that a case lacks counts as
    uniform (0 after normalisation)."""
    labels: tuple[int, ...] = ()
    """The output is a label volume: its labels, background first. Empty: the output is an image."""
    body: str = ""
    """Slug of the input socket that holds the body outline; empty where there is none."""
    smallest_ml: float = Field(default=0.0, ge=0)
    """Labels: connected parts of all labels together that are smaller than this, in ml, become background."""
    normalisation: Literal["mr_percentile", "hu", "mr_quartile"]
    """`mr_percentile`: the two percentiles inside the body become -1 and 1, outside is -1; `hu`: (HU - centre) / scale;
    `mr_quartile`, for images that are 0 outside the brain: the median above 0 becomes 0, a quartile's distance from it 1."""
    percentiles: tuple[float, float] = (1.0, 99.0)
    """Percentiles of `mr_percentile`."""
    centre: float = 0.0
    """HU that becomes 0 in the target (and in the input under `hu`)."""
    scale: float = Field(gt=0)
    """HU that make one unit."""
    clip: tuple[float, float] = (-1024.0, 3071.0)
    """Lowest and highest HU of a prediction; under `hu` the input is limited to it too."""
    outside: float | None = None
    """HU that is written outside the body; absent where there is no body outline."""
    context: int = Field(default=3, ge=1, le=9)
    """Odd number of neighbouring slices that the network sees to predict the middle one (2.5-D)."""
    residual: bool = False
    """The network predicts what to add to the input instead of the output itself; needs `hu`."""
    editions: tuple[Name, ...] = ("phantom",)
    """Editions that the shipped weights learned from, as far as they can be had, each drawn equally often."""

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        if self.context % 2 == 0:
            raise ValueError(f"context: found {self.context}, expected an odd number")
        if self.residual and self.normalisation != "hu":
            raise ValueError('residual: expected normalisation = "hu", since input and output must have one scale')
        if self.normalisation == "mr_percentile" and not self.body:
            raise ValueError("body: expected the slug of the body outline, which mr_percentile needs")
        if (self.outside is None) == bool(self.body):
            raise ValueError("outside: expected exactly where body is given")
        if self.channels and self.input not in self.channels:
            raise ValueError(f"channels: found {list(self.channels)}, expected {self.input!r} among them")
        if (self.channels or self.labels) and (self.normalisation != "mr_quartile" or self.body or self.residual):
            raise ValueError('channels, labels: expected normalisation = "mr_quartile", no body and no residual')
        if self.labels and (self.labels[0] != 0 or len(set(self.labels)) < max(2, len(self.labels))):
            raise ValueError(f"labels: found {list(self.labels)}, expected different ones, 0 first")
        for key, (low, high) in (("clip", self.clip), ("percentiles", self.percentiles)):
            if low >= high:
                raise ValueError(f"{key}: found {low} and {high}, expected the lower one first")
        return self

    @property
    def images(self) -> tuple[str, ...]:
        """Slugs of the input sockets that hold an image."""
        return self.channels or (self.input,)

    @property
    def sockets(self) -> tuple[str, ...]:
        """Slugs of all input sockets that are read."""
        return (*self.images, *([self.body] if self.body else []))


class Detection(Record):
    """`[detection]`: the output is points with probabilities, found in the lungs of a chest CT."""

    closing_mm: float = Field(default=12.0, gt=0)
    """What a disc of this radius closes belongs to the lungs, so that nodules on the pleura do."""
    margin_mm: float = Field(default=3.0, ge=0)
    """The lungs are taken larger by this."""
    marks: int = Field(default=60, ge=1, le=100)
    """Most marks in a scan, the most probable ones."""
    apart_mm: float = Field(default=4.0, gt=0)
    """Two marks are at least this far apart."""
    scales_mm: tuple[float, ...] = ()
    """Candidates: standard deviations of the Gaussians whose Laplacian is searched."""
    candidates: int = Field(default=150, ge=1)
    """Candidates: most of them in a scan."""
    crop: int = Field(default=16, ge=8, multiple_of=8)
    """Candidates: edge of the cube around each that a network sees, in samples."""
    pitch_mm: float = Field(default=2.0, gt=0)
    """Candidates: distance of the samples."""
    heat: float = Field(default=0.5, gt=0)
    """Heat map: standard deviation of the Gaussian on a finding, as a share of its radius."""
    heat_mm: tuple[float, float] = (2.0, 4.0)
    """Heat map: least and most of that standard deviation."""


class Fit(Record):
    """`[fit]`: a classical method and the settings among which the validation split chooses."""

    method: Literal["constant", "table", "tv", "nlm", "threshold", "blobs"]
    """`constant`: one HU in the body; `table`: HU by MR intensity and depth; `tv`, `nlm`: denoisers of scikit-image; `threshold`:
    labels by thresholds, morphology and the largest component; `blobs`: candidates and a logistic regression of what they look like."""
    value: float = 0.0
    """HU of `constant`."""
    strengths: tuple[float, ...] = ()
    """`tv`, `nlm`: strengths to try, in multiples of the estimated noise."""
    smoothing_mm: tuple[float, ...] = ()
    """`table`, `threshold`: Gaussian smoothing of the MR images to try, in mm."""
    statistics: tuple[Literal["mean", "median"], ...] = ()
    """`table`: what a cell holds, to try."""
    bins: int = Field(default=48, ge=2)
    """`table`: number of intensity bins."""
    bright: Name = ""
    """`threshold`: slug of the image in which the whole structure is bright."""
    enhanced: Name = ""
    """`threshold`: slug of the image after contrast agent."""
    native: Name = ""
    """`threshold`: slug of the same before contrast agent; what enhances is brighter after it than before."""
    whole: int = 0
    """`threshold`: label of what is bright and neither enhances nor is enclosed by what does."""
    enhancing: int = 0
    """`threshold`: label of what enhances."""
    enclosed: int = 0
    """`threshold`: label of what is enclosed by what enhances."""
    openings: tuple[int, ...] = ()
    """`threshold`: voxels by which the bright region is opened, to try."""
    levels: tuple[float, ...] = ()
    """`threshold`: levels to fit, in quartiles' distances from the median."""
    penalties: tuple[float, ...] = ()
    """`blobs`: weights of the squared coefficients against the log loss, to try."""
    depths_mm: tuple[float, ...] = ()
    """`table`: depths below the body surface at which bins begin, in mm; the first is 0."""

    @model_validator(mode="after")
    def _consistent(self) -> Fit:
        needs = {
            "constant": (),
            "table": ("smoothing_mm", "statistics", "depths_mm"),
            "tv": ("strengths",),
            "nlm": ("strengths",),
            "blobs": ("penalties",),
            "threshold": (
                "smoothing_mm",
                "openings",
                "levels",
                "bright",
                "enhanced",
                "native",
                "whole",
                "enhancing",
                "enclosed",
            ),
        }[self.method]
        for key in needs:
            if not getattr(self, key):
                raise ValueError(f"{key}: missing, and {self.method} needs it")
        if self.depths_mm and (self.depths_mm[0] != 0 or list(self.depths_mm) != sorted(set(self.depths_mm))):
            raise ValueError(f"depths_mm: found {list(self.depths_mm)}, expected rising numbers from 0")
        return self


class Network(Record):
    """`[network]`: the network that maps a stack of slices to a slice."""

    kind: Literal["basic_unet", "dncnn"]
    """`basic_unet`: MONAI's BasicUNet; `dncnn`: a plain stack of MONAI's convolutions at full resolution."""
    features: tuple[int, ...]
    """`basic_unet`: six numbers of channels (five levels, then the last one); `dncnn`: one number a hidden layer."""
    activation: str = "RELU"
    """Name of the activation in MONAI."""
    groups: int = Field(default=8, ge=0)
    """Groups of the group normalisation; 0 means none (`dncnn` only)."""

    @model_validator(mode="after")
    def _consistent(self) -> Network:
        if self.kind == "basic_unet" and len(self.features) != 6:
            raise ValueError(f"features: found {len(self.features)} numbers, expected 6")
        if self.kind == "basic_unet" and not self.groups:
            raise ValueError("groups: found 0, expected at least 1 for basic_unet")
        if self.groups and any(width % self.groups for width in self.features):
            raise ValueError(f"groups: found {self.groups}, expected a divisor of every number in features")
        return self


class Loss(Record):
    """`[loss]`: how far a prediction is from the reference: L1 terms in units of `data.scale`, or terms for labels."""

    l1: float = Field(default=1.0, ge=0)
    """Weight of the mean absolute error inside the mask."""
    window: tuple[float, float] | None = None
    """A window in HU that counts more."""
    window_weight: float = Field(default=0.0, ge=0)
    """Weight of the mean absolute error after clipping both sides to the window."""
    cross_entropy: float = Field(default=0.0, ge=0)
    """Labels: weight of the cross entropy."""
    dice: float = Field(default=0.0, ge=0)
    """Labels: weight of 1 − the soft Dice, mean over `regions`."""
    focal: float = Field(default=2.0, ge=0)
    """Heat map: exponent of |reference - prediction|, which weighs the cross entropy of each pixel (Li et al. 2020)."""
    warm: float = Field(default=30.0, ge=0)
    """Heat map: how much heavier a pixel on a finding is than one beside it."""
    regions: tuple[tuple[int, ...], ...] = ()
    """Labels: unions of labels whose Dice counts, such as [[1, 2, 3], [3]]; empty: each label but the background."""


class Critic(Record):
    """`[critic]`: the PatchGAN critic of a conditional GAN."""

    channels: int = Field(default=16, ge=1)
    """Channels of its first layer, doubled by each of the next."""
    layers: int = Field(default=3, ge=1)
    """Layers after the first."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """Constant learning rate (Adam, betas 0.5 and 0.999)."""
    weight: float = Field(default=0.01, ge=0)
    """Weight of the adversarial term against the L1 term: pix2pix's 1 : 100. Candidates: against the cross entropy."""
    purpose: Literal["features", "augmentation"] = "features"
    """Candidates: the critic that tells real cubes from generated ones judges the candidates too (`features`), or a generator of
    findings that was trained against it adds examples to those of a classifier (`augmentation`)."""
    warm_up: int = Field(default=0, ge=0)
    """`augmentation`: steps before generated findings are learned from."""
    share: float = Field(default=0.5, ge=0, le=1)
    """`augmentation`: share of the findings in a batch that are generated, from then on."""


class Latent(Record):
    """`[latent]`: the latent field of a conditional VAE."""

    channels: int = Field(default=4, ge=1)
    """Latent channels."""
    features: tuple[int, ...] = (16, 32, 32)
    """Channels of the prior's and the posterior's encoder; each layer halves the resolution."""
    kl: float = Field(default=0.01, ge=0)
    """Weight of the KL divergence of the posterior from the prior (nats a latent number)."""
    prior: float = Field(default=0.5, ge=0, le=1)
    """Share of the reconstruction loss that is taken on samples of the prior (the hybrid objective)."""
    reconstruction: float = Field(default=0.1, ge=0)
    """Labels: weight of the mean squared error with which the latent field gives the input back."""
    samples: int = Field(default=8, ge=2)
    """Samples whose mean is the prediction and whose standard deviation is the uncertainty."""


class Training(Record):
    """`[training]`: the optimisation."""

    steps: int = Field(ge=1)
    """Steps of AdamW under a one-cycle schedule."""
    batch: int = Field(default=16, ge=1)
    """Slices a step."""
    patch: int = Field(default=64, ge=16, multiple_of=16)
    """Edge of the square that is cut from a slice, in pixels."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Highest learning rate."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """AdamW's weight decay."""
    ema: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the moving average of the weights; the average is what is kept."""
    foreground: float = Field(default=0.0, ge=0, le=1)
    """Labels: share of the patches that are centred near a voxel with a label."""
    gain: float = Field(default=0.0, ge=0, lt=1)
    """Each input image is multiplied by a random number within this of 1, and shifted by one within it of 0."""
    flips: tuple[Literal["rows", "columns"], ...] = ("columns",)
    """Axes along which a slice is mirrored at random."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Steps between checkpoints."""
