"""What runs a model: the chain behind it needs no torch."""

import subprocess
import sys

import numpy as np
import torch

from asteroid_joint.inference.notes.network import load_cue_net
from asteroid_joint.inference.notes.odds import REACH, load_cue_odds

WITHOUT_TORCH = """
import sys
for name in ("torch", "torchaudio", "asteroid"):
    sys.modules[name] = None  # importing it fails
import asteroid_joint.apps.live.separator
import asteroid_joint.apps.page.server
import asteroid_joint.inference.collection.run
import asteroid_joint.inference.separate
import asteroid_joint.inference.track
import asteroid_joint.inference.transcription
from asteroid_joint.inference.notes import NoteTracker
from asteroid_joint.registry import DECODERS
DECODERS["viterbi"]
"""


def test_the_chain_is_imported_without_torch():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_notes_network_is_the_trained_one():
    read = torch.randn(2 * 24 + 13, 2 * REACH + 70, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = load_cue_net()(read[None])[0].numpy()
    np.testing.assert_allclose(load_cue_odds()(read.numpy()), expected, rtol=1e-4, atol=1e-4)
