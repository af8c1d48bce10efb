"""How sets of songs differ in level, balance and share of singing: ``asteroid-joint describe``."""
