"""What stems are called that have a part to play, whatever model they come from."""

from collections.abc import Sequence

VOICE = "vocals"
COMPLEMENT = "accompaniment"  # the stem that is the recording minus the others


def stem_index(sources: Sequence[str], name: str) -> int | None:
    """Index of a stem by its name, ``None`` if it is missing.

    Example:
        >>> stem_index(("vocals", "accompaniment"), VOICE), stem_index(("drums",), VOICE)
        (0, None)
    """
    return sources.index(name) if name in sources else None
