"""Training, from a configuration to model files."""
