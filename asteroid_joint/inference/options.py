"""What may be asked for when a song is separated; without torch, as ``--help`` quotes it."""

BATCH = 2  # windows that a model gets at a time
DECODER = "argmax"
