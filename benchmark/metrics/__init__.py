"""The metric library: one module a family, one registry. Importing this package declares every metric."""

from benchmark.metrics.registry import REGISTRY, CaseInputs, Metric, MetricValue, find

# isort: split
# One line a family, so that importing the package fills the registry.
from benchmark.metrics import classification as classification
from benchmark.metrics import clinical as clinical
from benchmark.metrics import detection as detection
from benchmark.metrics import generation as generation
from benchmark.metrics import lesions as lesions
from benchmark.metrics import marks as marks
from benchmark.metrics import memorisation as memorisation
from benchmark.metrics import multilabel as multilabel
from benchmark.metrics import noise as noise
from benchmark.metrics import panoptic as panoptic
from benchmark.metrics import pathlength as pathlength
from benchmark.metrics import perceptual as perceptual
from benchmark.metrics import segmentation as segmentation
from benchmark.metrics import synthesis as synthesis

__all__ = ["REGISTRY", "CaseInputs", "Metric", "MetricValue", "find"]
