"""Reports of an evaluation: text for a terminal, and one self-contained HTML file with plots,
tables and users.
"""

from metarec.evaluation.report.page import to_html, write_report
from metarec.evaluation.report.text import to_text

__all__ = ["to_html", "to_text", "write_report"]
