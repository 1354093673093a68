"""The report of an evaluation: one HTML file with plots, tables and users, that needs nothing else
to be read.
"""

from metarec.evaluation.report.page import to_html, write_report
from metarec.evaluation.report.text import to_text

__all__ = ["to_html", "to_text", "write_report"]
