"""Asteroid knows the models after ``import asteroid_joint``, and torch is not loaded before."""

import subprocess
import sys

from conftest import child_env

CODE = """
import sys
import asteroid_joint
assert "torch" not in sys.modules
assert {"DJCM", "load_model", "MODELS"} <= set(dir(asteroid_joint))
try:
    asteroid_joint.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
from asteroid.models import BaseModel, get  # the user's own next line
assert get("djcm").__module__ == "asteroid_joint.models.djcm"
import asteroid_joint.registry as registry
assert asteroid_joint.MODELS is registry.MODELS and asteroid_joint.DJCM is get("DJCM")

# a second torch.hub.load imports the package anew, while Asteroid stays
first = asteroid_joint.DJCM
for name in [n for n in sys.modules if n.partition(".")[0] == "asteroid_joint"]:
    del sys.modules[name]
import asteroid_joint
assert get("DJCM") is asteroid_joint.DJCM is not first
finders = [f for f in sys.meta_path if type(f).__module__ == "asteroid_joint.registration"]
assert len(finders) == 1

# and Asteroid imported anew learns the models again
for name in [n for n in sys.modules if n.partition(".")[0] == "asteroid"]:
    del sys.modules[name]
import asteroid.models
assert asteroid.models.get("djcm") is asteroid_joint.DJCM

# a table is filled when it is asked
for name in [n for n in sys.modules if n.partition(".")[0] == "asteroid_joint"]:
    del sys.modules[name]
from asteroid_joint.registry import DECODERS
assert callable(DECODERS["viterbi"])
print("fine")
"""


def test_models_are_registered_in_whichever_order():
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=child_env(), capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "fine", done.stderr
