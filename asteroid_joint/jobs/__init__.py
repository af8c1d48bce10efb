"""Independent jobs on one or many machines, e.g. labelling clips or separating a folder of songs.

An engine is one file and one line of registration; :mod:`.local` is the shortest example.
"""

from . import local, ray_cluster
from .run import JobError, run_jobs

__all__ = ["JobError", "local", "ray_cluster", "run_jobs"]
