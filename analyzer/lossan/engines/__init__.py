"""Analyses of logs that do not fit in memory, on one machine or many."""

from lossan.engines._result import LargeResult
from lossan.engines._run import analyze_large

__all__ = ["LargeResult", "analyze_large"]
