"""The web page of ``asteroid-joint demo``: upload a song, hear its stems, see pitch and notes.

The page consists of plain HTML, CSS and JavaScript served from here; a content security policy
forbids the browser to load anything else. From top to bottom:

    commands.demo  options, address, model
    server         routes and access rules
    openapi        the routes for programs, described
    access         the token of a server that other computers reach
    downloads      stems in further formats
    songs          songs of visitors: queue, worker, removal
    uploads        limits and checks of uploads
    view           data of the plot: spectrogram, F0 curve, notes
"""
