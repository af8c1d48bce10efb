"""The command ``separate``."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from ...audio import AUDIO_FORMATS, open_audio
from ...errors import UserError
from ...inference.activity import SegmentRules
from ...inference.collection import MANIFEST, Found, Outcome, find_songs, run_collection
from ...inference.knobs import PitchKnobs, check_knobs
from ...inference.notes.formats import NOTES_FORMATS, check_bend, check_tempo
from ...inference.options import RunOptions, SeparateOptions
from ...inference.pitch_files import PITCH_FORMATS
from ...inference.stem_names import PRESETS, stem_naming
from ...registry import import_plugins
from .common import DONE, SOME_FAILED, add_model, add_plugins, add_runtime, positive, say, tell
from .knobs import add_note_knobs, add_pitch_knobs

NO_STEMS = "none"
Options = TypeVar("Options", SeparateOptions, RunOptions, PitchKnobs)


def add_separate_command(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    separate = commands.add_parser(
        "separate",
        help="separate songs into stems and write the F0 curve of the voice",
        description="Write a folder OUT/<song>/ for every song: a file per stem, the F0 curve, and "
        "other files on request. Songs from a folder keep their relative paths below OUT.",
        epilog="Exit codes: 0 all done; 1 some songs failed, the others are complete; 2 the call "
        "was wrong and nothing ran; 130 interrupted, finished songs are complete.",
        argument_default=argparse.SUPPRESS,  # the fields of the options have the defaults
    )
    separate.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="file, folder (all audio files below it, no videos), or pattern such as "
        "'music/**/*.flac'",
    )
    _add_results(separate.add_argument_group("results"))
    _add_model(separate.add_argument_group("model"))
    _add_collections(separate.add_argument_group("collections"))
    separate.add_argument("--debug", action="store_true", help="show tracebacks")
    separate.set_defaults(run=_separate)


def _add_results(group: Any) -> None:
    group.add_argument("-o", "--out", required=True, type=Path, help="folder for the results")
    group.add_argument(
        "--stems",
        type=_stems,
        metavar="NAME,...",
        help=f"stems to write, or {NO_STEMS!r}; default: all stems of the model",
    )
    group.add_argument(
        "--format",
        dest="audio_format",
        choices=list(AUDIO_FORMATS),
        help="format of the stems; wav and flac are exact for integer samples, flac rounds to 24 "
        f"bits, mp3 and ogg are lossy; default {SeparateOptions.audio_format}",
    )
    group.add_argument(
        "--name",
        dest="stem_name",
        metavar="PATTERN",
        help="names of the stem files, of {song}, {stem}, {Stem} and {model}, such as "
        f"'{PRESETS['audio-separator'].pattern}', or of another program: "
        f"{', '.join(PRESETS)}; default {SeparateOptions.stem_name}",
    )
    add_pitch_results(group)
    group.add_argument("--overwrite", action="store_true", help="replace existing results")
    group.add_argument(
        "--json",
        action="store_true",
        default=False,
        help="print one JSON object per song and line instead of folders",
    )


def add_pitch_results(group: Any) -> None:
    """Add what is written of pitch: F0, notes, picture, activity."""
    rules = SegmentRules()
    group.add_argument(
        "--f0-format",
        dest="f0_formats",
        action=_AddNames,
        type=_names,
        metavar="NAME,...",
        help=f"formats of the F0 curve, out of {', '.join(PITCH_FORMATS)}; default csv: "
        "time,frequency,confidence,voiced",
    )
    add_pitch_knobs(group)
    group.add_argument(
        "--notes",
        action="store_true",
        help="also write notes.mid, with pitch bend, and notes.csv (extra: notes)",
    )
    group.add_argument(
        "--notes-format",
        dest="notes_formats",
        action=_AddNames,
        type=_names,
        metavar="NAME,...",
        help=f"also write notes in these formats, out of {', '.join(NOTES_FORMATS)}; ultrastar and "
        "musicxml take timed lyrics from an .lrc or .srt beside the song",
    )
    add_note_knobs(group)
    group.add_argument(
        "--tempo",
        type=_tempo,
        metavar="BPM|auto",
        help="beats per minute of midi, ultrastar and musicxml; auto is the default, "
        f"{SeparateOptions.tempo:g}, and says so: the beat is not tracked",
    )
    group.add_argument(
        "--bend-range",
        dest="bend_semitones",
        type=positive,
        metavar="SEMITONES",
        help="range of the pitch bend of midi, either way; 2 for synthesizers that ignore what the "
        f"file says; default {SeparateOptions.bend_semitones}",
    )
    group.add_argument(
        "--plot",
        action="store_true",
        help="also write picture.png: spectrogram of the voice, F0, notes, stems (extra: demo)",
    )
    group.add_argument(
        "--activity",
        action="store_const",
        const=rules,
        help="also write activity.csv with starts and ends of sung segments in seconds: they reach "
        f"a probability of {rules.on:g} and stay above {rules.off:g}, last at least "
        f"{rules.min_sec:g} s, and are merged across gaps below {rules.gap_sec:g} s",
    )


def _add_model(group: Any) -> None:
    add_model(group)
    add_runtime(group)
    add_decoding(group)


def add_decoding(group: Any) -> None:
    """Add how activations become pitch, the batch, and plugins."""
    group.add_argument(
        "--no-gate",
        dest="gate",
        action="store_false",
        help="keep what is left in the voice where the model finds nothing voiced for a while; by "
        "default the voice is silent there, and its pitch unvoiced",
    )
    group.add_argument(
        "--decoder",
        metavar="NAME",
        help=f"pitch decoder, such as argmax or viterbi; default {SeparateOptions.decoder}",
    )
    group.add_argument(
        "--two-pass-viterbi",
        action="store_true",
        help="decode the pitch by Viterbi over the whole song instead of some seconds at a time; "
        "temporarily uses 260 MB of disk space per hour of song",
    )
    group.add_argument(
        "--batch",
        dest="batch_size",
        type=positive,
        metavar="N",
        help="windows processed at a time; fewer use less memory; "
        f"default {SeparateOptions.batch_size}",
    )
    add_plugins(group)


def _add_collections(group: Any) -> None:
    group.description = (
        f"If an INPUT is a folder or a pattern, or with --resume, OUT/{MANIFEST} lists every song "
        "that was finished or failed, with the reason."
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="skip songs that, according to the manifest, were finished with the same options and "
        "model or are unreadable, unless they have changed; remove leftovers of a killed run",
    )
    group.add_argument("--retry", action="store_true", help="with --resume: retry all failed songs")
    group.add_argument(
        "--engine", metavar="NAME", help="local, or ray for a cluster; default local"
    )
    group.add_argument(
        "--address", help="address of the ray cluster; default: start one on this machine"
    )
    group.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="number of ray workers, each of which loads the model",
    )


class _AddNames(argparse.Action):
    """Adds names to those of the same option before, each once."""

    def __call__(self, parser: Any, space: Any, values: Any, option: str | None = None) -> None:
        before = getattr(space, self.dest, ())
        setattr(space, self.dest, tuple(dict.fromkeys((*before, *values))))


def _tempo(text: str) -> float | str:
    """A number, or a text that is checked with the other options."""
    try:
        return float(text)
    except ValueError:
        return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    if not names:
        raise argparse.ArgumentTypeError(f"expected one or more names, received {text!r}")
    return names


def _stems(text: str) -> tuple[str, ...]:
    names = _names(text)
    return () if names == (NO_STEMS,) else names


def read_options(kind: type[Options], args: argparse.Namespace) -> Options:
    """Build options from the arguments whose ``dest`` is the name of a field.

    Args:
        kind: Class of options.
        args: Given arguments; other fields keep their defaults.
    """
    given = vars(args)
    return kind(**{field.name: given[field.name] for field in fields(kind) if field.name in given})


def _separate(args: argparse.Namespace) -> int:
    options, run = read_options(SeparateOptions, args), read_options(RunOptions, args)
    _check(options, run, "decoder" in args)
    found = find_songs(args.inputs, run.out)
    for sentence in (*found.problems, *found.left_out):
        say(sentence)
    if found.n_results:
        say(f"{found.n_results} files are results of an earlier run and were skipped.")
    n_failed = len(found.problems)
    with_manifest = found.searched or run.resume
    if not with_manifest:
        n_failed += _leave_out_unreadable(found, args.json)
    n_done = n_earlier = 0
    told = True
    if found.songs:
        for outcome in run_collection(found.songs, options, run, manifest=with_manifest, say=say):
            told &= _tell(outcome, args.json)
            n_failed += outcome.status == "failed"
            n_done += outcome.status == "done"
            n_earlier += outcome.status == "done" and outcome.skipped
    if with_manifest and found.songs:
        earlier = f" ({n_earlier} of them earlier)" if n_earlier else ""
        say(f"{n_done} done{earlier}, {n_failed} failed: see {run.out / MANIFEST}.")
    return DONE if found.songs and told and not n_failed else SOME_FAILED


def _check(options: SeparateOptions, run: RunOptions, decoder_given: bool) -> None:
    """Refuse contradictory options and unknown names before a model is loaded."""
    import_plugins(run.plugins)  # which may register formats
    check_pitch_results(options, decoder_given)
    if options.stem_name != SeparateOptions.stem_name:
        stem_naming(options.stem_name)
    if run.retry and not run.resume:
        raise UserError("--retry needs --resume: give both.")
    if run.engine == "local" and (run.address is not None or run.workers is not None):
        raise UserError(
            "--address and --workers need another engine than local: give --engine ray."
        )


def check_pitch_results(options: SeparateOptions, decoder_given: bool) -> None:
    """Refuse wrong options of :func:`add_pitch_results` and :func:`add_decoding`.

    Raises:
        UserError: One sentence.
    """
    from ...inference.song_files import changes_pitch

    for name in options.f0_formats:
        PITCH_FORMATS[name]
    for name in options.notes_formats:
        NOTES_FORMATS[name]
    if options.tempo != SeparateOptions.tempo:
        check_tempo(options.tempo)
    if options.bend_semitones != SeparateOptions.bend_semitones:
        check_bend(options.bend_semitones)
    if changes_pitch(options):
        check_knobs(options)
    if options.two_pass_viterbi and decoder_given:
        raise UserError("--two-pass-viterbi replaces --decoder: give only one of them.")


def _leave_out_unreadable(found: Found, as_json: bool) -> int:
    """Report unreadable songs before the model is loaded; returns their number."""
    readable = []
    for song in found.songs:
        try:
            open_audio(song.path).close()
            readable.append(song)
        except UserError as err:
            _tell(Outcome(str(song.path), status="failed", reason=str(err)), as_json)
        except Exception:  # it will be said, or shown with --debug, when it is to be separated
            readable.append(song)
    n_unreadable = len(found.songs) - len(readable)
    found.songs = readable
    return n_unreadable


def _tell(outcome: Outcome, as_json: bool) -> bool:
    """Say and print an outcome; returns whether that could be printed."""
    for sentence in filter(None, (outcome.reason, outcome.warning)):
        say(sentence)
    if as_json:
        return tell(outcome.to_json())
    if outcome.status == "done" and not outcome.skipped:
        return tell(str(outcome.folder))
    return True
