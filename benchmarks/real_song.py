"""The voice of six seconds of a real rock song (stempeg's): SDR and NSDR of models, in dB.

``python benchmarks/real_song.py [MODEL ...]``: names of shipped weights, or files; all shipped by
default. 44.1 kHz stereo through the path of ``asteroid-joint separate``. One clip is an example,
not evidence: see the recipes for tests.
"""

import importlib.util
import sys
from pathlib import Path

import av
import numpy as np

from asteroid_joint import available_weights, load_model
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.metrics.separation import sdr

MIXTURE, VOCALS = 0, 4  # streams of a .stem.mp4


def stem(path: Path, index: int) -> tuple[np.ndarray, int]:
    """One stream, ``(C, T)``, and its rate in Hz."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[index]
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
        return np.concatenate(frames, 1).astype(np.float32), stream.rate


def main(names: list[str]) -> None:
    """Measure and print."""
    spec = importlib.util.find_spec("stempeg")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("real_song: stempeg is not installed: pip install -e '.[demo]'.")
    song = min(Path(spec.submodule_search_locations[0]).rglob("*.stem.mp4"))
    (mixture, rate), (voice, _) = stem(song, MIXTURE), stem(song, VOCALS)
    before = sdr(voice, mixture)
    print(f"{song.name}: mixture SDR {before:.2f}")
    for name in names or available_weights():
        after = sdr(voice, separate_array(load_model(name), mixture, rate).stems[0])
        print(f"{name}: SDR {after:.2f}, NSDR {after - before:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
