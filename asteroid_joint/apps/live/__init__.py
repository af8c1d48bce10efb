"""Separation and pitch of a live input, with bounded latency: ``asteroid-joint stream``."""
