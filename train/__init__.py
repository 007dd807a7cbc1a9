"""Fit a model, and make it one that can be used."""
