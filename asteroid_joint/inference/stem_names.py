"""Names of stem files by a pattern: one's own, or that of another program; without torch."""

import string
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..errors import ConfigError

PLACEHOLDERS = ("song", "stem", "Stem", "model")
STEM = "{stem}"  # as the model calls it


class StemNaming(NamedTuple):
    """How a program names stems.

    Attributes:
        pattern: File name without its extension, with some of ``PLACEHOLDERS``.
        complement: What it calls the rest of the song, in place of ``{stem}`` and ``{Stem}``.
    """

    pattern: str
    complement: str | None = None


PRESETS: Mapping[str, StemNaming] = {
    "demucs": StemNaming("{stem}", "no_vocals"),  # demucs --two-stems vocals
    "audio-separator": StemNaming("{song}_({Stem})_{model}", "Instrumental"),
}


def stem_naming(name: str) -> StemNaming:
    """The naming behind the name of a preset or a pattern.

    Args:
        name: One of ``PRESETS``, or a pattern; in one's own, ``{Stem}`` of the rest of the song is
            ``Instrumental``.

    Raises:
        ConfigError: If the pattern has unknown placeholders, none of the stem, or separators of
            folders.
    """
    if name in PRESETS:
        return PRESETS[name]
    try:
        parts = list(string.Formatter().parse(name))
    except ValueError as err:
        raise ConfigError(f"The name pattern {name!r} is not valid: {err}.") from err
    fields = [field for _, field, spec, kind in parts if field is not None]
    plain = not any(spec or kind for _, _, spec, kind in parts)
    if not plain or not set(fields) <= set(PLACEHOLDERS):
        raise ConfigError(
            f"The name pattern {name!r} has a placeholder other than "
            f"{', '.join(f'{{{p}}}' for p in PLACEHOLDERS)}, and is no preset "
            f"({', '.join(PRESETS)}): correct it."
        )
    if not {"stem", "Stem"} & set(fields):
        raise ConfigError(
            f"The name pattern {name!r} does not tell stems apart: include {{stem}} or {{Stem}}."
        )
    text = "".join(literal for literal, *_ in parts)
    if any(mark in text for mark in "/\\\0"):
        raise ConfigError(f"The name pattern {name!r} names folders: give a plain file name.")
    return StemNaming(name)


def with_model(name: str, model: str) -> str:
    """Put the name of the model into a pattern or a preset; only if it is part of it.

    Args:
        name: Pattern or preset, valid.
        model: Name of the model.

    Example:
        >>> with_model("{song}.{Stem}.{model}", "djcm_pop")
        '{song}.{Stem}.djcm_pop'
    """
    naming = stem_naming(name)
    if "{model}" not in naming.pattern:
        return name
    safe = model.replace("{", "{{").replace("}", "}}").replace("/", "_").replace("\\", "_")
    return naming.pattern.replace("{model}", safe)


def stem_file_names(
    name: str, sources: Sequence[str], complement: str, song: str, model: str
) -> dict[str, str]:
    """File names of stems, without their extension.

    Args:
        name: Pattern or preset.
        sources: Names of the model's stems.
        complement: Which of them is the rest of the song.
        song: Name of the song.
        model: Name of the model, for a pattern that has none yet.

    Returns:
        Stem to file name.

    Raises:
        ConfigError: If the pattern is not valid.

    Example:
        >>> names = "vocals", "accompaniment"
        >>> stem_file_names("audio-separator", names, "accompaniment", "song", "pop")
        {'vocals': 'song_(Vocals)_pop', 'accompaniment': 'song_(Instrumental)_pop'}
    """
    naming = stem_naming(name)
    found = {}
    for source in sources:
        plain, title = source, source.capitalize()
        if source == complement:
            plain = naming.complement or source
            title = naming.complement or "Instrumental"
        found[source] = naming.pattern.format(song=song, stem=plain, Stem=title, model=model)
    return found
