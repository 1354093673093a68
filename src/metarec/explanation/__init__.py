"""Why this item: influence of events, importance of features, counterfactuals, traces, and how
faithful all of it is.
"""

from metarec.explanation.reasons import Explanation, explain

__all__ = ["Explanation", "explain"]
