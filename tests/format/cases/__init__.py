"""Stored fixtures of single stages: each module has ``fixtures()``, arrays and options by name."""
