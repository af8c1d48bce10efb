"""The web page of ``asteroid-joint demo``: a song in, stems to hear, pitch and notes to see.

The page is a few files of plain HTML, CSS and JavaScript, all served from here: nothing is loaded
from elsewhere, and the browser is told to refuse it. Read downhill:

    command   the options, the address, the model
    server    addresses of the page; who may see what
    songs     songs of visitors: queue, worker, what is removed when
    uploads   what is accepted
    process   one song: stems, F0, notes
    view      what the page draws: spectrogram, curve, notes
"""
