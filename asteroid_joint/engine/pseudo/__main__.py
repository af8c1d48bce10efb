"""``python -m asteroid_joint.engine.pseudo``: see :mod:`.make`."""

from .make import main

if __name__ == "__main__":
    main()
