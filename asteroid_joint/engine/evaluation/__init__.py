"""Evaluation of models and other systems on one side of a split."""
