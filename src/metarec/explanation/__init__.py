"""Explanations: influence of events, importance of features, counterfactuals, adaptation traces,
and measures of how faithful they are.
"""

from metarec.explanation.reasons import explain
from metarec.recommendation.explained import Explanation

__all__ = ["Explanation", "explain"]
