"""Commands of ``asteroid-joint``, one per file: arguments in, sentences and an exit code out."""
