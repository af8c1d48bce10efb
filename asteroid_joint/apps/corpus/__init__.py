"""Offline synthesis of a multitrack corpus: a singing voice with exact F0 over a sampled band."""
