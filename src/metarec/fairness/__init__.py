"""For which groups it works, and what to do about it: audits, and mitigations with their price."""

from metarec.fairness.audit import Audit, audit

__all__ = ["Audit", "audit"]
