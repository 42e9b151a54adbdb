"""The metric library: one module a family, one registry. Importing this package declares every metric."""

from benchmark.metrics.registry import REGISTRY, CaseInputs, Metric, MetricValue, find

__all__ = ["REGISTRY", "CaseInputs", "Metric", "MetricValue", "find"]
