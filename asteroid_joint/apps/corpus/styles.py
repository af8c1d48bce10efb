"""Table of accompaniment styles: tempi, chord loops, patterns and sounds.

Patterns have one symbol per sixteenth; blanks have no meaning. A pattern may span several bars of
16. ``.`` is a rest, ``-`` sustains, and otherwise

* drums: ``x`` a stroke, ``X`` an accent, ``o`` a ghost note;
* bass: ``R`` the chord's root, ``3`` its third, ``5`` fifth, ``8`` octave, ``a`` a semitone below
  the next root;
* chords: ``x`` a stroke, ``X`` an accent, ``u`` an upstroke on fewer strings;
* arpeggio: a digit, the index of the chord tone in ascending order.

Chords are degrees of the major scale with a quality: ``1``, ``6m``, ``b7``, ``2m7``. Programs are
those of General MIDI, counted from 0. Choir and voice programs are excluded on purpose: a choir in
the accompaniment would be labelled as non-vocal.

No style, chord loop, chord pattern or drum pattern is in two splits.
"""

from dataclasses import dataclass
from typing import Literal

Side = Literal["train", "valid", "test"]
Voicing = Literal["close", "guitar", "power", "wide"]
Groove = tuple[str, ...]  # lines of a drum's name and its pattern


@dataclass(frozen=True)
class Chords:
    """How an instrument plays chords.

    Attributes:
        patterns: Rhythms to sample from.
        programs: Sounds to sample from.
        voicing: ``close`` (within an octave), ``guitar`` (root below, strummed), ``power`` (root,
            fifth, octave; doubled left and right) or ``wide`` (root an octave below).
        low: Lowest MIDI pitch of a close chord, or of the root otherwise.
    """

    patterns: tuple[str, ...]
    programs: tuple[int, ...]
    voicing: Voicing = "close"
    low: int = 55


@dataclass(frozen=True)
class Style:
    """How a band plays."""

    name: str  # key in STYLES
    side: Side  # the only split that uses it
    tempo_bpm: tuple[float, float]  # slowest and fastest
    swing: float  # delay of off-beats as a fraction of an eighth; 0 is straight, 1/3 triplets
    loops: tuple[tuple[str, str], ...]  # mode and its chord loops: one chord per bar, | between
    grooves: tuple[Groove, ...]  # verses play the even ones, choruses the odd ones
    fills: tuple[Groove, ...]  # for the bar before a new section
    kits: tuple[int, ...]  # drum kits of General MIDI
    bass: tuple[str, ...]  # patterns
    bass_programs: tuple[int, ...]
    comp: Chords  # plays throughout
    second: Chords  # joins in choruses
    arpeggio: tuple[str, ...]  # patterns of single chord tones
    arpeggio_programs: tuple[int, ...]
    pads: tuple[int, ...]  # programs that sustain whole chords
    leads: tuple[int, ...]  # programs of melodies
    reverb: int = 40  # of chord instruments, 0 to 127; leads have more, drums less
    jitter_sec: float = 0.005  # standard deviation of onsets

    @property
    def modes(self) -> tuple[str, ...]:
        """Modes for which the style has loops."""
        return tuple(mode for mode, _ in self.loops)


# By hand: a line for a bar of drums reads as a table, a line for each drum does not.
# fmt: off
_TABLE = (
    Style(
        name="pop", side="train", tempo_bpm=(92, 126), swing=0.0,
        loops=(
            ("major", "1 5 6m 4 | 6m 4 1 5 | 1 6m 4 5 | 4 1 5 6m"),
            ("minor", "1m b6 b3 b7 | 1m 4m b6 b7"),
        ),
        grooves=(
            ("kick x... ..x. x... ....", "snare .... X... .... X...", "hat x.x. x.x. x.x. x.x."),
            ("kick x..x ..x. x..x ..x.", "snare .... X... .... X..o", "open ..x. ..x. ..x. ..x."),
            ("kick x... .... x.x. ....", "clap .... X... .... X...", "hat x.xx x.x. x.xx x.x."),
            ("kick x.x. ..x. x.x. ..x.", "snare .... X... .... X...", "ride x.x. x.x. x.x. x.x."),
        ),
        fills=(
            ("kick x... x... x... x...", "snare .... X... ..xx XxXX", "hat x.x. x.x. .... ...."),
            ("kick x... x... .... ....", "snare .... X... X... ....", "tom2 .... .... ..xx xx.."),
        ),
        bass=("R-R- R-R- R-R- R-R-", "R--R --R- 5--5 --a-", "R--- --R- R--- 5-8-"),
        bass_programs=(33, 34, 38, 39), kits=(0, 8, 24),
        comp=Chords(("x--- x--- x--- x---", "x--x --x- x--x --x-", "X--- --x- ---- x---"),
                    (0, 1, 2, 4, 5, 25, 27)),
        second=Chords(("x-u- x-u- x-u- x-u-", "x--- xu-u --xu x-u-"), (24, 25, 27), "guitar", 43),
        arpeggio=("0.1. 2.1. 3.1. 2.1.", "01.2 .10. 01.2 .31.", "0.2. 1.2. 0.2. 1.3."),
        arpeggio_programs=(27, 28, 11, 81, 90, 5), pads=(48, 49, 50, 51, 89, 90, 16),
        leads=(80, 81, 40, 73, 29, 26, 62),
    ),
    Style(
        name="rock", side="train", tempo_bpm=(108, 168), swing=0.0,
        loops=(
            ("mixolydian", "1 b7 4 1 | 1 1 b7 4"),
            ("minor", "1m b7 b6 b7 | 1m b3 b7 4"),
            ("major", "1 4 1 5 | 1 3m 4 5"),
        ),
        grooves=(
            ("kick x... ..x. x.x. ....", "snare .... X... .... X...", "hat X.x. X.x. X.x. X.x."),
            ("kick x.x. .... x.xx ....", "snare .... X... .... X...", "crash X... x... X... x..."),
            ("kick x..x ..x. ..x. ..x.", "snare .... X... .... X.o.", "open X.x. X.x. X.x. X.x."),
            ("kick x.x. x.x. x.x. x.x.", "snare X... X... X... X...", "ride X.x. X.x. X.x. X.x."),
        ),
        fills=(
            ("kick x... x... x... x...", "snare XxXx xxXx .... ....", "tom2 .... .... XxXx ....",
             "tom3 .... .... .... XxXx"),
            ("kick x... ..x. x... x...", "snare .... X... XXXX XXXX", "open X.x. X.x. .... ...."),
        ),
        bass=("R-R- R-R- R-R- R-R-", "R--- R-R- R--- R-a-", "R-R- R-5- 8-5- R-a-"),
        bass_programs=(34, 33, 36), kits=(16, 0, 8),
        comp=Chords(("x.x. x.x. x.x. x.x.", "x--- x.x. x--- x.x.", "X--x --x- X--x --x-"),
                    (29, 30), "power", 40),
        second=Chords(("x--- ---- x--- ----", "x-u- x-u- x-u- x-u-"),
                      (30, 29, 18, 27), "guitar", 45),
        arpeggio=("0.2. 1.2. 3.2. 1.2.", "3.3. 2.2. 1.1. 2.2."),
        arpeggio_programs=(27, 29, 28, 7), pads=(18, 16, 48, 50),
        leads=(30, 29, 84, 18, 66, 81), reverb=30,
    ),
    Style(
        name="ballad", side="train", tempo_bpm=(58, 82), swing=0.0,
        loops=(
            ("major", "1 3m 4 5 | 1maj7 6m7 2m7 57 | 6m 5 4 4"),
            ("minor", "1m b7 b6 57 | 1m 4m b7 b3 b6 4m 5sus4 5"),
        ),
        grooves=(
            ("kick x... .... ..x. ....", "stick .... x... .... x...", "hat x.x. x.x. x.x. x.x."),
            ("kick x... ..x. x... ..x.", "snare .... X... .... X...", "ride x.x. x.x. x.x. x.x."),
            ("kick x... .... x... ....", "snare .... .... X... ....", "hat xoxo xoxo xoxo xoxo"),
        ),
        fills=(
            ("kick x... .... x... ....", "snare .... X... .... ..Xx", "tom1 .... .... x.x. ....",
             "tom3 .... .... .... xx.."),
            ("kick x... .... x... ....", "snare .... x... .... oxXX", "tom2 .... .... .x.. ...."),
        ),
        bass=("R--- ---- R--- --a-", "R--- --R- 5--- --R-", "R--- ---- 5--- ----"),
        bass_programs=(33, 35, 32, 39), kits=(0, 8, 16),
        comp=Chords(("x--- x--- x--- x---", "x--- --x- x--- --x-", "x-x- x-x- x-x- x-x-"),
                    (0, 1, 4, 5)),
        second=Chords(("x--- ---- x--- --u-", "x--- x-u- --u- x-u-"), (25, 27, 30), "guitar", 43),
        arpeggio=("0.1. 2.3. 2.1. 2.1.", "0.2. 3.2. 4.3. 2.1.", "3.2. 1.0. 3.2. 1.2."),
        arpeggio_programs=(0, 24, 25, 46, 5, 11), pads=(48, 49, 50, 89, 92, 19, 60),
        leads=(40, 42, 64, 66, 71, 68, 29), reverb=70, jitter_sec=0.008,
    ),
    Style(
        name="funk", side="train", tempo_bpm=(92, 116), swing=0.08,
        loops=(
            ("dorian", "1m7 4 1m7 4 | 1m9 1m9 47 1m7"),
            ("mixolydian", "19 19 47 b7 | 17 b7 4 17"),
        ),
        grooves=(
            ("kick x.x. ...x ..x. ..x.", "snare .... X..o .o.. X..o", "hat x.xx x.xx x.xx x.xx"),
            ("kick x..x ..x. ..xx ....", "snare .... X.o. .o.o X...", "hat xxxx xxx. xxxx xxx.",
             "open .... ...x .... ...x"),
            ("kick x... ..xx .x.. x...", "snare .o.. X..o .... X.oo", "hat x.x. x.x. x.x. x.x.",
             "cowbell x... x... x... x..."),
        ),
        fills=(
            ("kick x.x. ...x ..x. ....", "snare .o.X .oX. oXoX XXoX", "hat x.xx .... .... ...."),
            ("kick x... x... x... ....", "snare X..X ..X. XX.X X.XX", "open .... ..X. .... ...."),
        ),
        bass=("R..8 ..R. .5.R ..8a", "R.R. ...R .8.. 5.8.", "R--. 8.R. ..5. 8.a."),
        bass_programs=(36, 37, 33, 34), kits=(0, 8),
        comp=Chords(("x.xx ..x. .xx. x.x.", "..x. .xx. ..x. .xxu", "x... ..xx ...x ..x."),
                    (28, 27, 7)),
        second=Chords(("x-.. ..x. ...x -...", "X.X. .... ...X .X.."), (61, 62, 17, 4)),
        arpeggio=("0..2 ..3. .2.. 1.2.", "3.3. .2.3 ..1. .2.."),
        arpeggio_programs=(28, 7, 81, 12), pads=(16, 17, 63, 50),
        leads=(66, 64, 56, 81, 61, 22), reverb=25, jitter_sec=0.004,
    ),
    Style(
        name="disco", side="train", tempo_bpm=(114, 130), swing=0.0,
        loops=(
            ("minor", "1m 4m b7 b3 | 1m7 b7 b6maj7 57"),
            ("major", "2m7 57 1maj7 6m7 | 4maj7 3m7 2m7 1maj7"),
        ),
        grooves=(
            ("kick X... X... X... X...", "clap .... X... .... X...", "open ..X. ..X. ..X. ..X."),
            ("kick X... X... X... X...", "snare .... X... .... X.o.", "hat xx.x xx.x xx.x xx.x",
             "open ..X. ..X. ..X. ..X.", "tamb ..x. ..x. ..x. ..x."),
        ),
        fills=(
            ("kick X... X... X... X...", "snare ..X. ..X. XXX. XXXX", "tom1 X..X ..X. .... ...."),
            ("kick X... X... .... ....", "snare .... X.X. XxXx XXXX", "clap .... .... X... X..."),
        ),
        bass=("R.8. R.8. R.8. R.8.", "R-.8 .R8. R-.8 .58a", "R-R8 .8R. R-R8 .8a."),
        bass_programs=(33, 36, 38, 39), kits=(0, 24, 25),
        comp=Chords(("..x. ..x. ..x. ..x.", "x.xx .xx. x.xx .xx.", "x--x --x. ..x- x---"),
                    (28, 27, 1, 4)),
        second=Chords(("x--- ---x --.. x.x.", "X... ..X. .... ..XX"),
                      (48, 51, 61, 63), "close", 60),
        arpeggio=("0123 0123 0123 0123", "3.21 3.21 3.21 3.21"),
        arpeggio_programs=(81, 80, 90, 7), pads=(48, 50, 51, 90),
        leads=(40, 73, 56, 81, 61, 62),
    ),
    Style(
        name="country", side="train", tempo_bpm=(84, 138), swing=0.15,
        loops=(
            ("major", "1 1 4 1 5 5 1 1 | 1 4 5 1 | 1 6m 2m 5"),
            ("mixolydian", "1 1 4 b7"),
        ),
        grooves=(
            ("kick x... x... x... x...", "snare ..x. ..x. ..x. ..xo"),
            ("kick x... ..x. x... ..x.", "snare .... X... .... X...", "ride x.xo x.xo x.xo x.xo"),
        ),
        fills=(
            ("kick x... x... x... x...", "snare ..x. ..x. xxXx xxXX"),
            ("kick x... x... x... x...", "snare x.xx x.xx X.X. X...", "tom3 .... .... .... ..XX"),
        ),
        bass=("R--- .... 5--- ....", "R--. R-a. 5--. R-a.", "R--- 5--- R--- 5-a-"),
        bass_programs=(32, 33, 34), kits=(0, 8, 40),
        comp=Chords(("x... x-u- x... x-u-", "..x- ..x- ..x- ..xu", "x-xu x-xu x-xu x-xu"),
                    (25, 24, 3), "guitar", 43),
        second=Chords(("x--- .... x--- ..x.", "..x. ..x. ..x. ..x."), (0, 3, 21, 29)),
        arpeggio=("0213 0213 0213 0213", "0.32 1.32 0.32 1.32"),
        arpeggio_programs=(105, 25, 15, 27), pads=(48, 16, 20, 49),
        leads=(110, 22, 26, 27, 25, 29), reverb=35, jitter_sec=0.007,
    ),
    Style(
        name="folk", side="valid", tempo_bpm=(76, 118), swing=0.05,
        loops=(
            ("major", "1 2m 4 1 | 1 5 2m 4"),
            ("dorian", "1m b7 1m b7 | 1m b3 4 1m"),
        ),
        grooves=(
            ("kick x... .... x... ..x.", "shaker xoxo xoxo xoxo xoxo"),
            ("kick x... ..x. x... ....", "stick .... x... .... x..x", "tamb ..x. ..x. ..x. ..x."),
        ),
        fills=(
            ("kick x... x... x... x...", "stick .... x... x.x. xxxx", "tom3 .... .... ..x. x.x."),
        ),
        bass=("R--- ---- 5--- R---", "R--- --5- R--- ----"),
        bass_programs=(32, 35), kits=(0, 40),
        comp=Chords(("x-x- xuxu x-x- xuxu", "x--- x-u- .-u- xuxu"), (24, 25), "guitar", 45),
        second=Chords(("x--- x-x- x--- x---", "x--- ---- ---- x---"), (21, 0, 20)),
        arpeggio=("0.31 2.31 0.31 2.31", "0132 .132 0132 .132"),
        arpeggio_programs=(24, 46, 106, 15), pads=(20, 49, 21),
        leads=(110, 74, 79, 22, 41), reverb=45, jitter_sec=0.008,
    ),
    Style(
        name="synth-pop", side="valid", tempo_bpm=(100, 134), swing=0.0,
        loops=(
            ("minor", "b6 b7 1m 1m | 1m b3 b6 4m"),
            ("major", "4 5 3m 6m | 1sus4 1 6m 4"),
        ),
        grooves=(
            ("kick x... x... x..x x...", "esnare .... X... .... X...", "hat ..x. ..x. ..x. .xx."),
            ("kick x..x .... x.x. ....", "esnare .... X... .... X..X", "hat xxxx xxxx xxxx xxxx",
             "clap .... X... .... X..."),
        ),
        fills=(
            ("kick x... x... x... x...", "esnare X... X... X.X. XXXX", "tom1 ..X. ..X. .X.X ...."),
        ),
        bass=("RRRR RRRR RRRR RRRR", "R.R8 R.R8 R.R8 R.R8"),
        bass_programs=(38, 39), kits=(25, 24),
        comp=Chords(("x-.x -.x- .x-. x-x-", "x--- ---x ---- --x-"), (90, 62, 81, 88)),
        second=Chords(("x.x. .x.x .x.. x.x.", "X--- ---- .--- X---"), (63, 51, 5), "close", 60),
        arpeggio=("0312 0312 0312 0312", "0.1. 3.2. 1.0. 2.3."),
        arpeggio_programs=(80, 81, 98, 10), pads=(89, 94, 95, 51),
        leads=(80, 82, 83, 63, 74), reverb=50, jitter_sec=0.001,
    ),
    Style(
        name="soul", side="test", tempo_bpm=(72, 108), swing=1 / 3,
        loops=(
            ("major", "1 17 4 4m | 1maj7 3m7 4maj7 5sus4"),
            ("mixolydian", "17 47 17 59"),
            ("minor", "1m7 4m7 b6maj7 57"),
        ),
        grooves=(
            ("kick x... ..x. ..x. ....", "snare .... X... .... X...", "hat x.xx x.xx x.xx x.xx"),
            ("kick x..x .... x... ..x.", "snare .... X..o .... X...", "ride x.x. x.x. x.x. x.x.",
             "tamb .... x... .... x..."),
        ),
        fills=(
            ("kick x... ..x. x... ....", "snare .... X.xx X.X. X.xX", "tom2 ..x. .... .x.x ...."),
        ),
        bass=("R--. ..R. 5-8. a-..", "R-3- 5-3- R-5- 8-a-"),
        bass_programs=(33, 32, 35), kits=(8, 0, 32),
        comp=Chords(("x--. ..x- .-x- ....", ".... x-.. ..u. x-..", "x--- --x- ---- x-x-"),
                    (4, 16, 0, 17)),
        second=Chords(("X... ...X .... X.X.", ".... x... .... x..."), (61, 57, 26, 27)),
        arpeggio=("..1. 2.3. ..2. 1...", "3... 2.1. 0... 1.2."),
        arpeggio_programs=(26, 4, 11), pads=(16, 18, 48, 49),
        leads=(66, 67, 56, 59, 22, 26), jitter_sec=0.008,
    ),
    Style(
        name="bossa", side="test", tempo_bpm=(100, 140), swing=0.0,
        loops=(
            ("major", "1maj7 1maj7 2m7 57 | 16 27 2m7 57"),
            ("minor", "1m9 1m9 4m7 b77 b3maj7 2m7b5 57 1m9 | 1m7 2m7b5 57 1m7"),
        ),
        grooves=(
            ("kick x..x x..x x..x x..x", "stick x..x ..x. ..x. .x..", "hat x.x. x.x. x.x. x.x."),
            ("kick x..x x..x x..x x..x", "conga .x.. xx.. .x.. xx..", "shaker xoxo xoxo xoxo xoxo",
             "stick ..x. x... x..x ..x."),
        ),
        fills=(
            ("kick x..x x..x x... ....", "conga ..xx .xx. xx.x xxx.", "tom2 .... .... .... ..xx"),
        ),
        bass=("R--5 --5- 5--R --R-", "R--- --5- 5--- --a-"),
        bass_programs=(32, 35), kits=(40, 32, 0),
        comp=Chords(("x..x ..x. .x.. x.x.", "x--x ---- x-.x ..x-"), (24, 0), "close", 53),
        second=Chords(("..x- ---- x--- ..x.", "x--- ---- ---x ----"), (4, 11, 5)),
        arpeggio=("..32 .1.. 2.3. ..1.", "0..1 ..2. .3.. 2.1."),
        arpeggio_programs=(11, 24, 26), pads=(49, 89, 48),
        leads=(73, 71, 66, 57, 11, 75), reverb=50, jitter_sec=0.006,
    ),
)
# fmt: on

STYLES: dict[str, Style] = {style.name: style for style in _TABLE}


def styles_of(side: str) -> list[Style]:
    """The styles of a split, in the order of the table."""
    return [style for style in STYLES.values() if style.side == side]
