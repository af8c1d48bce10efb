"""Pseudo labels from a trained model for sets with one kind of label."""
