"""Independent jobs on one machine or many: labels for the clips of a set, a folder of songs.

An engine is one file and one line of registration: see :mod:`.local`, the shortest.
"""

from . import local, ray_cluster
from .run import JobError, run_jobs

__all__ = ["JobError", "local", "ray_cluster", "run_jobs"]
