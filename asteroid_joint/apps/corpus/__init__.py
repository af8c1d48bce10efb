"""A multitrack corpus made offline: a singing voice with exact F0 over a sampled band."""
