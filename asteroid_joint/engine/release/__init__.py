"""From a finished run to weights that ship."""
