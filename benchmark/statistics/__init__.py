"""Intervals and ranks, all from one matrix of case counts a task, so that every comparison is paired."""
