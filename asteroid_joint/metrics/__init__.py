"""Metrics. Names are fixed: the same in every JSON file and table."""
