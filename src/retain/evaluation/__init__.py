"""Evaluation code that all kinds share: intervals, quality gate, report, figures."""
