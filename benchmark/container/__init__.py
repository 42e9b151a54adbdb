"""Engines that run a model, one small interface: start a session, hand it cases one by one, close it."""

from benchmark.container.discovery import find_engine
from benchmark.container.engine import CaseOutcome, Engine, Session
from benchmark.container.intake import intake
from benchmark.container.records import ImageRecord, Runtime
from benchmark.container.sandboxed import ContainerEngine

__all__ = [
    "CaseOutcome",
    "ContainerEngine",
    "Engine",
    "ImageRecord",
    "Runtime",
    "Session",
    "find_engine",
    "intake",
]
