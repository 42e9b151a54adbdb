"""Engines that run a model, one small interface: start a session, hand it cases one by one, close it."""

from benchmark.container.engine import CaseOutcome, Engine, Session

__all__ = ["CaseOutcome", "Engine", "Session"]
