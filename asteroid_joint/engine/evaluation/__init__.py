"""Models and other systems on a test side: what they give, and its figures."""
