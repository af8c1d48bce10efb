"""Separation and pitch of sound while it is made: ``asteroid-joint stream``."""
