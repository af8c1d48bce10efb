"""What datasets say of themselves stands in model files: none of it may change by itself."""

import pytest

from asteroid_joint.data.licences import DETECTION, JOINT, PITCH
from asteroid_joint.registry import DATASETS

KEYS = ("title", "title_link", "author", "author_link", "license", "license_link")
# dataset, task, the values of KEYS, whether commercial use is forbidden
WRITTEN = {
    "activity_folder": (
        "folder of recordings with vocal activity",
        DETECTION,
        "Recordings with vocal activity",
        "",
        "see the folder",
        "",
        "see the folder",
        "",
        False,
    ),
    "instrumental": (
        "folder of instrumental music",
        JOINT,
        "Instrumental music",
        "",
        "see the folder",
        "",
        "see the folder",
        "",
        False,
    ),
    "jamendo": (
        "Jamendo (singing voice detection)",
        DETECTION,
        "Jamendo corpus for singing detection",
        "http://www.mathieuramona.com/wp/data/jamendo/",
        "Mathieu Ramona (annotations) and the artists of its songs",
        "http://www.mathieuramona.com",
        "Creative Commons, one for each song",
        "https://creativecommons.org/licenses/",
        True,
    ),
    "medleydb": (
        "MedleyDB",
        JOINT,
        "MedleyDB",
        "https://medleydb.weebly.com",
        "Rachel Bittner, Justin Salamon, Mike Tierney, Matthias Mauch, Chris Cannam and Juan Bello",
        "https://medleydb.weebly.com",
        "CC BY-NC-SA 4.0",
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        True,
    ),
    "mir1k": (
        "MIR-1K",
        JOINT,
        "MIR-1K",
        "https://sites.google.com/site/unvoicedsoundseparation/mir-1k",
        "Chao-Ling Hsu and Jyh-Shing Roger Jang",
        "https://sites.google.com/site/unvoicedsoundseparation",
        "research use, no redistribution of the audio",
        "https://sites.google.com/site/unvoicedsoundseparation/mir-1k",
        True,
    ),
    "mir_st500": (
        "MIR-ST500",
        PITCH,
        "MIR-ST500",
        "https://github.com/york135/singing_transcription_ICASSP2021",
        "Jun-You Wang and Jyh-Shing Roger Jang",
        "https://github.com/york135",
        "annotations for research; songs belong to their owners",
        "https://github.com/york135/singing_transcription_ICASSP2021",
        True,
    ),
    "multitrack": (
        "multitrack folder in the layout of MUSDB",
        JOINT,
        "Multitrack folder",
        "",
        "see the meta.json of its tracks",
        "",
        "see the meta.json of its tracks",
        "",
        False,
    ),
    "musdb18": (
        "MUSDB18-HQ",
        JOINT,
        "MUSDB18-HQ",
        "https://doi.org/10.5281/zenodo.3338373",
        "Zafar Rafii, Antoine Liutkus, Fabian-Robert Stöter, Stylianos Ioannis Mimilakis "
        "and Rachel Bittner",
        "https://sigsep.github.io/datasets/musdb.html",
        "for non-commercial research, mostly CC BY-NC-SA 4.0",
        "https://sigsep.github.io/datasets/musdb.html",
        True,
    ),
    "musdb18_sample": (
        "MUSDB18, the 7-second sample",
        JOINT,
        "MUSDB18, the 7-second sample",
        "https://doi.org/10.5281/zenodo.1117371",
        "Zafar Rafii, Antoine Liutkus, Fabian-Robert Stöter, Stylianos Ioannis Mimilakis "
        "and Rachel Bittner",
        "https://sigsep.github.io/datasets/musdb.html",
        "for non-commercial research, mostly CC BY-NC-SA 4.0",
        "https://sigsep.github.io/datasets/musdb.html",
        True,
    ),
    "solo": (
        "folder of solo singing",
        JOINT,
        "Solo singing",
        "",
        "see the folder",
        "",
        "see the folder",
        "",
        False,
    ),
    "two_stems": (
        "folder of songs of two stems",
        JOINT,
        "Songs of two stems",
        "",
        "see the folder",
        "",
        "see the folder",
        "",
        False,
    ),
}
TASKS = {
    JOINT: "singing voice separation and pitch estimation",
    DETECTION: "singing voice detection",
    PITCH: "pitch estimation",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_facts_in_model_files_are_what_they_were(name):
    dataset, task, *values, non_commercial = WRITTEN[name]
    licence = {**dict(zip(KEYS, values, strict=True)), "non_commercial": non_commercial}
    expected = {"dataset": dataset, "task": TASKS[task], "licenses": [licence]}
    assert DATASETS[name].infos == expected


def test_every_dataset_of_the_package_is_in_the_table():
    ours = {n for n, c in DATASETS.items() if c.__module__.startswith("asteroid_joint.")}
    assert ours - {"blend"} == set(WRITTEN)  # a blend has the facts of its parts
