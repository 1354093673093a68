"""Fairness: audits of quality and exposure by group, and mitigations with their trade-offs."""

from metarec.fairness.audit import Audit, audit

__all__ = ["Audit", "audit"]
