"""Why this item: influence of events, importance of features, counterfactuals, traces, and how
faithful all of it is.
"""

from metarec.explanation.reasons import explain
from metarec.recommendation.explained import Explanation

__all__ = ["Explanation", "explain"]
