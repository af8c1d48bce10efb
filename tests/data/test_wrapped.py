"""Sets around sets hand on all that a dataset offers, and draw what the set within would draw."""

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import write_track

from asteroid_joint.data import (
    Blend,
    Clip,
    DrawnExamples,
    Hidden,
    JointDataset,
    JointExample,
    Multitrack,
    PseudoLabelled,
)
from asteroid_joint.data.base import Wrapped
from asteroid_joint.data.pseudo_files import Header, piece_path, write_piece
from asteroid_joint.pitch import PitchGrid
from asteroid_joint.registry import DATASETS

GRID = PitchGrid(320, 16000)
PARTS = ("drums", "bass", "other")
WRAPPERS = ("blend", "hidden", "pseudo")
FORM = {"sample_rate": 16000, "n_channels": 1}


@pytest.fixture(scope="module")
def labelled_tracks(tmp_path_factory) -> Path:
    """Three tracks that lack no label; to be read only."""
    root = tmp_path_factory.mktemp("labelled")
    for seed, name in enumerate(("one", "two", "three")):
        write_track(root / "train" / name, seed)
    return root


@pytest.fixture
def wrapped(tmp_path, monkeypatch) -> Callable[[str, JointDataset], JointDataset]:
    """Makes a wrapper that changes nothing; a set that lacks no label takes no pseudo label."""

    def wrap(wrapper: str, dataset: JointDataset) -> JointDataset:
        if wrapper == "hidden":
            return Hidden(dataset, [])
        if wrapper == "blend":
            monkeypatch.setitem(DATASETS, "given", lambda side: dataset)
            return Blend("train", [{"dataset": "given"}], clip_level_db=None)
        Header("nobody", GRID.to_dict(), {"piece_sec": 0}, {}, 0.5).write(tmp_path)
        return PseudoLabelled(dataset, tmp_path, "given")

    return wrap


def assert_same(one: JointExample, other: JointExample) -> None:
    """Bit by bit, but for names: a blend puts its own before them."""
    for field, value in vars(one).items():
        if field in ("name", "song"):
            assert getattr(other, field).rpartition("/")[2] == value
        else:
            np.testing.assert_array_equal(getattr(other, field), value, field)


# ------------------------------------------------------------------ draws


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("remix_stems", [False, True])
@pytest.mark.parametrize("accompaniment", [(), PARTS])
def test_draws_are_those_of_the_set_within(
    wrapped, labelled_tracks, wrapper, remix_stems, accompaniment
):
    within = Multitrack(str(labelled_tracks), "train", **FORM, accompaniment=accompaniment)
    options = {"remix": 1.0, "silence": 0.2, "remix_stems": remix_stems}
    expected = DrawnExamples(within, GRID, 8000, **options)
    drawn = DrawnExamples(wrapped(wrapper, within), GRID, 8000, **options)
    for number in range(8):
        assert_same(expected[number], drawn[number])


def test_pieces_and_pseudo_stems_are_remixed_where_they_are(labelled_tracks, tmp_path):
    """A piece is a part of its track in every respect; stems that a teacher made have no parts."""
    form = {**FORM, "accompaniment": PARTS}
    within = Multitrack(str(labelled_tracks), "train", **form)
    header = Header("nobody", GRID.to_dict(), {"piece_sec": 0.8}, {}, 0.5)
    header.write(tmp_path)
    pieces = PseudoLabelled(within, tmp_path, "given")
    second = pieces.pieces[1]
    assert second.start and pieces.part_names(1, 1) == PARTS
    for part in range(3):
        whole = within.read_part(second.clip, 1, part, second.start, second.n_samples)
        np.testing.assert_array_equal(pieces.read_part(1, 1, part), whole)
        rest = pieces.read_part(1, 1, part, 320, 10**6)
        np.testing.assert_allclose(rest, whole[:, 320:], atol=1e-6)
    separated = Hidden(within, ["sources"])
    stems = np.full((1, 1, 10**5), 0.25, np.float32)
    for piece in pieces.pieces:
        facts = {"label": "sources", "accepted": True, "quality": 0.5}
        path = piece_path(tmp_path, "given", piece)
        write_piece(path, header, stems[..., : piece.n_samples], **facts)
    pseudo = PseudoLabelled(separated, tmp_path, "given")
    assert pseudo.part_names(1, 1) == ("accompaniment",)
    mixture, sources = pseudo.read(1, 320, 4000)
    np.testing.assert_array_equal(sources[0], stems[0, :, :4000])
    np.testing.assert_array_equal(pseudo.read_part(1, 1, 0, 320, 4000), mixture - 0.25)


class Numbers(JointDataset):
    """Clip ``i`` has silence over a part for each name, the ``p``th of which is ``i * 10 ** p``."""

    def __init__(self, names: tuple[str, ...], clips: range) -> None:
        self.names, self.numbers = names, clips
        self.clips = [Clip(str(i), str(i), "", 4000) for i in clips]

    def part_names(self, index, source):
        return self.names if source == 1 else super().part_names(index, source)

    def read_part(self, index, source, part, start=0, n_samples=None):
        return np.full((1, n_samples or 4000), source * self.numbers[index] * 10.0**part)

    def read(self, index, start=0, n_samples=None):
        rest = sum(self.read_part(index, 1, part, start, n_samples) for part in range(3))
        sources = np.stack([np.zeros_like(rest), rest if self.names else 1000 + rest])
        return sources.sum(0), sources


def test_a_remix_of_a_blend_combines_like_parts_only(monkeypatch):
    """Whole accompaniments stay whole; parts of the same names go together, whoever has them."""
    sets = {
        "a": Numbers(("drums", "bass"), range(1, 4)),
        "b": Numbers(("drums", "bass"), range(4, 6)),
        "c": Numbers(("bass", "drums"), range(6, 8)),  # in another order: not to be mixed up
        "d": Numbers(("accompaniment",), range(8, 10)),
        "e": Numbers(("drums", "bass", "other"), range(1, 9)),
    }
    for name, dataset in sets.items():
        monkeypatch.setitem(DATASETS, name, lambda side, dataset=dataset: dataset)
    shares = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0, "e": 0.0}
    parts = [{"dataset": name, "rest": share} for name, share in shares.items()]
    blend = Blend("train", parts, clip_level_db=None)
    options = {"remix": 1.0, "gain_db": 0.0, "speed_semitones": 0.0, "remix_stems": True}
    draws = DrawnExamples(blend, GRID, 320, **options)
    found = {round(float(draws[number].sources[1, 0, 0])) for number in range(400)}
    alike = {10 * bass + drums for drums in range(1, 6) for bass in range(1, 6)}
    assert found == alike | {66, 67, 76, 77} | {8, 9}


# ------------------------------------------------------------------ everything is handed on


def interface() -> list[str]:
    """Public names of a dataset, but for what it makes of others: length, examples, tracks."""
    names = {*vars(JointDataset), *JointDataset.__annotations__}
    names -= {"example", "stretches", "tracks"}
    return sorted(name for name in names if not name.startswith("_"))


class Asked(JointDataset):
    """Clips that answer anything, and remember what they were asked, and with what."""

    infos = {"dataset": "asked", "licenses": []}
    sources = ("voice", "rest")
    sample_rate, n_channels, mixture_gain = 8000, 2, 0.25
    label_grid = PitchGrid(80, 8000)

    def __init__(self) -> None:
        self.clips = [Clip(str(i), str(i), "", 4000) for i in range(3)]
        self.asked: list[tuple] = []

    def read(self, index, start=0, n_samples=None):
        self.asked.append(("read", index, start, n_samples))
        return np.zeros((2, 8)), np.zeros((2, 2, 8))


def _answering(name: str) -> Callable:
    def answer(self, *args):
        self.asked.append((name, *args))
        return np.arange(3.0)

    return answer


def answering() -> Asked:
    """An :class:`Asked` of all that a dataset has by now."""
    body = {}
    for name in set(interface()) - {"read"}:
        member = vars(JointDataset).get(name)
        if callable(member):
            body[name] = _answering(name)
        elif isinstance(member, property):
            body[name] = property(_answering(name))
    return type("Answering", (Asked,), body)()


def forgotten(wrapper: JointDataset, within: Asked) -> set[str]:
    """What of a dataset the wrapper does not hand on to the set within."""
    arguments = {"index": 1, "source": 1, "part": 0, "start": 320, "n_samples": 640}
    arguments["times"] = GRID.times(4)
    found = set()
    for name in interface():
        member = vars(JointDataset).get(name)
        within.asked.clear()
        if callable(member):
            taken = [arguments[p] for p in list(inspect.signature(member).parameters)[1:]]
            getattr(wrapper, name)(*taken)
            handed = [(name, *map(repr, taken))]
            if [(first, *map(repr, rest)) for first, *rest in within.asked] != handed:
                found.add(name)
        elif isinstance(member, property):
            getattr(wrapper, name)
            if (name,) not in within.asked:
                found.add(name)
        elif name == "clips":
            found |= {name} if len(wrapper) != len(within) else set()
        elif repr(getattr(wrapper, name)) != repr(getattr(within, name)):
            found.add(name)
    return found


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_nothing_that_a_dataset_offers_is_forgotten(wrapped, wrapper):
    within = answering()
    own = {"blend": {"infos"}, "pseudo": {"label_grid"}}  # of which they make their own
    assert forgotten(wrapped(wrapper, within), within) == own.get(wrapper, set())


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_a_dataset_will_offer_is_missed_if_it_is_not_handed_on(wrapped, wrapper, monkeypatch):
    """A fact is handed on by itself; a method that the wrappers know nothing of is noticed."""
    annotations = {**JointDataset.__annotations__, "tempo_bpm": float}
    monkeypatch.setattr(JointDataset, "__annotations__", annotations)
    monkeypatch.setattr(JointDataset, "tempo_bpm", 0.0, raising=False)
    monkeypatch.setattr(JointDataset, "words_at", lambda self, index, times: None, raising=False)
    monkeypatch.setattr(Asked, "tempo_bpm", 120.0, raising=False)
    within = answering()
    missed = forgotten(wrapped(wrapper, within), within) - {"infos", "label_grid"}
    assert missed == {"words_at"}
    monkeypatch.setattr(
        Wrapped,
        "words_at",
        lambda self, index, times: within.words_at(index, times),
        raising=False,
    )
    assert "words_at" not in forgotten(wrapped(wrapper, within), within)


@pytest.mark.parametrize("wrapper", [Blend, Hidden, PseudoLabelled])
def test_wrappers_stand_on_one_base(wrapper):
    assert issubclass(wrapper, Wrapped)
