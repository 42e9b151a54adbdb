"""The records that the rooms of the house hand to each other. Frozen, validated, every field documented.

A record is data: no record reads a file or runs anything. `model_json_schema()` of each is its manual.
"""

from __future__ import annotations

from benchmark.contract.board import Board, MetricInfo, Row, SiteMetric, SiteValue
from benchmark.contract.data import FEDERATED, Case, DatasetInfo, Source
from benchmark.contract.names import NAME, SPLITS, Name, SocketKind, Split, Status
from benchmark.contract.phase import Phase
from benchmark.contract.run import (
    PREDICTIONS,
    CaseCost,
    CaseRun,
    Cost,
    Method,
    Reproduction,
    RunRecord,
    TrainingFigure,
    TrainingSpread,
)
from benchmark.contract.score import Aggregate, Score
from benchmark.contract.task import (
    Attribute,
    Claim,
    Display,
    FairnessRules,
    Limits,
    Ranking,
    RankingGroup,
    RuleName,
    Scoring,
    Socket,
    Task,
    TaskMetric,
)
from benchmark.record import Record

__all__ = [
    "FEDERATED",
    "NAME",
    "PREDICTIONS",
    "SPLITS",
    "Aggregate",
    "Attribute",
    "Board",
    "Case",
    "CaseCost",
    "CaseRun",
    "Claim",
    "Cost",
    "DatasetInfo",
    "Display",
    "FairnessRules",
    "Limits",
    "Method",
    "MetricInfo",
    "Name",
    "Phase",
    "Ranking",
    "RankingGroup",
    "Record",
    "Reproduction",
    "Row",
    "RuleName",
    "RunRecord",
    "Score",
    "Scoring",
    "SiteMetric",
    "SiteValue",
    "Socket",
    "SocketKind",
    "Source",
    "Split",
    "Status",
    "Task",
    "TaskMetric",
    "TrainingFigure",
    "TrainingSpread",
]
