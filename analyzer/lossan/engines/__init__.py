"""Analyses of logs that do not fit in memory, on one machine or many."""

from lossan.engines._result import LargeResult
from lossan.engines._run import ENGINES, analyze_large

__all__ = ["ENGINES", "LargeResult", "analyze_large"]
