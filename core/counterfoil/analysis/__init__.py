"""Answers that are worked out from a store: which is better, and why."""
