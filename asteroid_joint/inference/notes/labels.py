"""Notes as labels of time: for Audacity and for Praat."""

from .formats import NOTES_FORMATS, NotesText, note_name
from .note import Note

TIER = "notes"


@NOTES_FORMATS.register("labels")
class NotesLabels(NotesText):
    """A label track of Audacity: start and end in seconds and the name of the tone, with tabs.

    References:
        Audacity manual, "Importing and exporting labels".
    """

    file_name = "notes.labels.txt"

    def text(self, notes: list[Note], end_sec: float) -> str:
        return "".join(
            f"{n.onset_sec:.6f}\t{n.offset_sec:.6f}\t{note_name(n.pitch_midi)}\n" for n in notes
        )


@NOTES_FORMATS.register("textgrid")
class NotesTextGrid(NotesText):
    """A TextGrid of Praat with one tier: the names of tones, nothing in rests.

    References:
        P. Boersma, D. Weenink, "Praat: doing phonetics by computer", manual page "TextGrid file
        formats" (intervals have no gaps between them).
    """

    file_name = "notes.TextGrid"

    def text(self, notes: list[Note], end_sec: float) -> str:
        intervals, at = [], 0.0
        for note in notes:
            start, stop = round(note.onset_sec, 6), round(note.offset_sec, 6)
            if start > at:
                intervals.append((at, start, ""))
            if stop > max(start, at):
                intervals.append((max(start, at), stop, note_name(note.pitch_midi)))
                at = stop
        end = max(round(end_sec, 6), at)
        if end > at or not intervals:
            intervals.append((at, end, ""))
        head = [
            'File type = "ooTextFile"\nObject class = "TextGrid"\n',
            f"xmin = 0\nxmax = {end:.6f}\ntiers? <exists>\nsize = 1\nitem []:\n    item [1]:",
            f'        class = "IntervalTier"\n        name = "{TIER}"\n        xmin = 0',
            f"        xmax = {end:.6f}\n        intervals: size = {len(intervals)}",
        ]
        body = [
            f"        intervals [{n}]:\n            xmin = {start:.6f}\n"
            f'            xmax = {stop:.6f}\n            text = "{text}"'
            for n, (start, stop, text) in enumerate(intervals, 1)
        ]
        return "\n".join([*head, *body, ""])
