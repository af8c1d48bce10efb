"""Several datasets as one: voices of one dataset with the accompaniment of another.

Clips keep their audio, labels and licences. Their names are prefixed with that of the part and a
slash, to tell results apart.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError, DataError
from ..registry import DATASETS
from .base import Clip, JointDataset, Place, Wrapped
from .files import SIDES, check_side
from .licences import JOINT, dataset_infos

# of a part; other keys go to its dataset
OWN_KEYS = ("dataset", "name", "voice", "rest", "dub", "sides", "folder", "facts")
AGREED = ("sample_rate", "n_channels", "sources", "mixture_gain")
SILENT = 1e-6  # RMS of silence, whose level is not changed
BLOCK_SEC = 60  # of a long clip that is measured: as much is in memory at a time


class Part(NamedTuple):
    """A dataset in a blend.

    Attributes:
        name: Prefix of the names of its clips.
        dataset: One side of the dataset.
        voice: Share of the voices sampled from it.
        rest: Share of the accompaniments sampled from it.
        dub: Whether only its voices are used.
        infos: Its name and licences; see :attr:`JointDataset.infos`.
    """

    name: str
    dataset: JointDataset
    voice: float
    rest: float
    dub: bool
    infos: dict[str, Any]


@DATASETS.register("blend")
class Blend(Wrapped):
    """One side of several datasets.

    Args:
        side: ``"train"``, ``"valid"`` or ``"test"``.
        parts: For each part ``dataset`` (registered name), ``voice`` and ``rest`` (sampling shares,
            1 by default; 0 = never), ``name`` (by default that of the dataset) and the arguments of
            the dataset. With ``dub: true`` only its voices are used, so its stems may differ from
            the blend's: in training they are mixed with sampled accompaniment; in validation and
            test each replaces the voice of one fixed clip of the other parts, at the same level.
            A part may also have ``sides``, those that it takes part in (all by default);
            ``folder``, its ``data_dir`` as a folder in that of the blend or a path: left empty, the
            part is left out; ``facts``, the arguments of :func:`.licences.dataset_infos`, where
            its folder does not know its name and licence.
        data_dir: Default for parts without one.
        clip_level_db: In training every clip is normalised to this level (RMS over the whole clip,
            dB re full scale): its mixture, or its voice if only that is used. ``None`` keeps
            levels, as in validation and test.

    Raises:
        ConfigError: If a part is invalid.
        DataError: If parts differ in rate, channels, stems or gain, or a folder is missing.
    """

    def __init__(
        self,
        side: str,
        parts: list[dict[str, Any]],
        data_dir: str | None = None,
        clip_level_db: float | None = -20.0,
    ) -> None:
        check_side(side)
        if not parts:
            raise ConfigError("A blend needs parts: list them in data_args.")
        self.parts = [_part(options, side, data_dir) for options in parts if _joins(options, side)]
        if not self.parts:
            raise DataError(f"No part of the blend has a {side} side: give one a folder, or sides.")
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names):
            raise ConfigError(f"Parts of a blend need different names, received {names}.")
        first = _check_agreement(self.parts)
        self._owners = [part for part in self.parts for _ in part.dataset.clips]
        places = [Place(p.dataset, i) for p in self.parts for i in range(len(p.dataset))]
        super().__init__(places, first)
        self.label_grid = next(filter(None, (p.dataset.label_grid for p in self.parts)), None)
        self.clip_level_db = clip_level_db if side == "train" else None
        self.clips = [
            _clip(part.name, clip) for part, clip in zip(self._owners, self.clips, strict=True)
        ]
        self._has_rest = self.rest_weights > 0
        self._hosts = self._find_hosts()
        self._dubs = side != "train"
        self._gains: dict[int, np.float32] = {}
        infos = [part.infos for part in self.parts]
        self.infos = {
            "dataset": " + ".join(
                str(i.get("dataset", n)) for i, n in zip(infos, names, strict=True)
            ),
            "task": JOINT,
            "licenses": [licence for info in infos for licence in info.get("licenses", [])],
        }

    @property
    def voice_weights(self) -> np.ndarray:
        """Weights of each dataset, scaled to the shares of the parts."""
        return np.concatenate([_shared(p.voice, p.dataset.voice_weights) for p in self.parts])

    @property
    def rest_weights(self) -> np.ndarray:
        return np.concatenate([_shared(p.rest, p.dataset.rest_weights) for p in self.parts])

    def _find_hosts(self) -> list[int]:
        """Clips that lend their accompaniment to a dub: where there are any, those with a voice."""
        hosts = [i for i, part in enumerate(self._owners) if not part.dub]
        sung = np.concatenate([part.dataset.voice_weights > 0 for part in self.parts])
        return [i for i in hosts if sung[i]] or hosts

    def makes_sources(self, index: int) -> bool:
        """See :meth:`Wrapped.makes_sources`: only the voice of a dub is used."""
        return self._owners[index].dub

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        mixture, sources = super().read(index, start, n_samples)
        if self.makes_sources(index) and sources is not None:
            mixture, sources = self._dubbed(index, sources[:1], start)
        gain = self._gain(index)
        if gain is None:
            return mixture, sources
        return mixture * gain, None if sources is None else sources * gain

    def read_source(
        self, index: int, source: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        return self._levelled(index, super().read_source(index, source, start, n_samples))

    def read_part(
        self, index: int, source: int, part: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        return self._levelled(index, super().read_part(index, source, part, start, n_samples))

    def _dubbed(self, index: int, voice: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
        """A voice ``(1, C, T)`` with the other stems of another clip; in training with silence."""
        n_rest, n_samples = len(self.sources) - 1, voice.shape[-1]
        rest = np.zeros((n_rest, *voice.shape[1:]), voice.dtype)
        if self._dubs:
            rng = np.random.default_rng(index)
            place = self._hosts[int(rng.integers(len(self._hosts)))]
            room = self.clips[place].n_samples - self.clips[index].n_samples
            begin = int(rng.integers(max(room, 0) + 1)) + start
            _, host = super().read(place)
            if host is None:
                name = self._owners[place].name
                raise DataError(
                    f"{name} has no stems to mix another voice with: leave out the part with dub."
                )
            _, own = super().read(index)
            assert own is not None
            level = _rms(host[0])
            level = level if level > SILENT else _rms(host[1:].sum(0))  # of instrumental music
            voice = voice * np.float32(level / max(_rms(own[0]), SILENT))
            stretch = host[1:, :, begin : begin + n_samples]
            rest[..., : stretch.shape[-1]] = stretch
        sources = np.concatenate([voice, rest])
        return sources.sum(0) * np.float32(self.mixture_gain), sources

    def _levelled(self, index: int, wav: np.ndarray | None) -> np.ndarray | None:
        """A stem of a part at the level of the blend; a dubbed one has it already."""
        gain = None if self.makes_sources(index) else self._gain(index)
        return wav if wav is None or gain is None else wav * gain

    def _gain(self, index: int) -> np.float32 | None:
        """Gain of a clip, computed at first use, as it requires reading the whole clip."""
        if self.clip_level_db is None:
            return None
        if index not in self._gains:
            rms = self._clip_rms(index)
            # what is silent stays as it is
            gain = 10 ** (self.clip_level_db / 20) / rms if rms > SILENT else 1
            self._gains[index] = np.float32(gain)
        return self._gains[index]

    def _clip_rms(self, index: int) -> float:
        """RMS of the mixture of a clip, or of its voice if only that is used, read in blocks."""
        block, n_samples = BLOCK_SEC * self.sample_rate, self.clips[index].n_samples
        levels, lengths = [], []
        for start in range(0, n_samples, block):
            mixture, sources = super().read(index, start, min(block, n_samples - start))
            wav = mixture if sources is None or self._has_rest[index] else sources[0]
            levels.append(_rms(wav))
            lengths.append(wav.shape[-1])
        if len(levels) == 1:
            return levels[0]
        return float(np.sqrt(np.average(np.square(levels), weights=lengths)))


def _joins(options: Any, side: str) -> bool:
    """Whether a part is used on a side at all; one that is no description is, and is refused."""
    if not isinstance(options, dict):
        return True
    sides = options.get("sides", SIDES)
    if isinstance(sides, str) or not set(sides) <= set(SIDES):
        raise ConfigError(f"Expected sides of a part to list some of {SIDES}, received {sides}.")
    return side in sides and options.get("folder", ".") not in ("", None)


def _part(options: dict[str, Any], side: str, data_dir: str | None) -> Part:
    if not isinstance(options, dict) or "dataset" not in options:
        raise ConfigError(
            f"A part of a blend needs the keys dataset, voice, ..., received {options}."
        )
    registered = options["dataset"]
    name = str(options.get("name", registered))
    dub = bool(options.get("dub", False))
    voice, rest = float(options.get("voice", 1.0)), float(options.get("rest", 0.0 if dub else 1.0))
    if "/" in name or not name or min(voice, rest) < 0:
        raise ConfigError(
            f"Part {name!r}: expected a name without a slash and shares of at least 0, received "
            f"voice {voice} and rest {rest}."
        )
    if dub and rest:
        raise ConfigError(
            f"Part {name!r} contributes only its voices (dub): leave out its share rest."
        )
    arguments = {k: v for k, v in options.items() if k not in OWN_KEYS}
    if "folder" in options:
        folder = Path(str(options["folder"])).expanduser()
        arguments["data_dir"] = _existing(name, Path(data_dir or ".").expanduser() / folder)
    elif data_dir is not None:
        arguments.setdefault("data_dir", data_dir)
    dataset = DATASETS[registered](**arguments, side=side)
    return Part(name, dataset, voice, rest, dub, _infos(name, options, dataset))


def _existing(name: str, folder: Path) -> str:
    """A folder of a part, if it is there."""
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder} for the part {name}: get the data, give another folder, "
            "or leave the part out by an empty one."
        )
    return str(folder)


def _infos(name: str, options: dict[str, Any], dataset: JointDataset) -> dict[str, Any]:
    """What is known of the name and licence of a part."""
    if "facts" not in options:
        return dataset.infos
    try:
        return dataset_infos(**options["facts"])
    except TypeError as err:
        raise ConfigError(
            f"Part {name!r}: facts need dataset, author and license, and may have title_link, "
            f"author_link, license_link and non_commercial, received {options['facts']}."
        ) from err


def _check_agreement(parts: list[Part]) -> JointDataset:
    """The first dataset without dub, after checking that all others have its format."""
    whole = [part for part in parts if not part.dub]
    if not whole:
        raise ConfigError("A blend needs a part without dub: add one that provides accompaniment.")
    first = whole[0]
    for other in parts:
        for what in AGREED:
            if other.dub and what == "sources":
                continue
            ours, theirs = getattr(first.dataset, what), getattr(other.dataset, what)
            if ours != theirs:
                raise DataError(
                    f"Parts {first.name} and {other.name} do not fit: {what} is {ours} in one and "
                    f"{theirs} in the other; change the arguments of one of them."
                )
    return first.dataset


def _shared(share: float, weights: np.ndarray) -> np.ndarray:
    """Weights of the clips of a part that add up to its share."""
    return share * weights / weights.sum() if weights.any() else np.zeros(len(weights))


def _rms(wav: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wav, dtype=np.float64))))


def _clip(part: str, clip: Clip) -> Clip:
    singer = f"{part}/{clip.singer}" if clip.singer else ""
    return Clip(f"{part}/{clip.name}", f"{part}/{clip.song}", singer, clip.n_samples)


def part_of(name: str) -> str:
    """Part of a blend that a clip belongs to, by its name; empty if it is no blend's."""
    part, slash, _ = name.partition("/")
    return part if slash else ""
