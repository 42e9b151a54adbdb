"""radbench: tasks, data editions, sandboxed runs, exact scores, statistics and the records that tie them together."""

__version__ = "0.1.0"
