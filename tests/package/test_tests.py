"""What the tests themselves share: things made once, and turns that two processes take."""

import itertools
import threading
import time
from pathlib import Path

import pytest
from conftest import taking_turns


def test_what_is_made_once_is_not_made_again(made_once, tmp_path):
    made = []

    def make(path: Path) -> None:
        assert not path.exists()
        path.mkdir()
        made.append(path)
        if len(made) == 1:
            raise OSError("killed in the middle")

    name = f"once_{tmp_path.parent.name}_{tmp_path.name}"
    with pytest.raises(OSError, match="killed"):
        made_once(name, make)
    assert made_once(name, make) == made_once(name, make) == made[0]
    assert len(made) == 2 and made[0].is_dir()


@pytest.mark.parametrize("alone", [False, True])
def test_a_test_of_speed_has_the_machine_for_itself(alone, tmp_path):
    spans = []

    def be_there(alone: bool) -> None:
        with taking_turns(tmp_path, alone):
            start = time.monotonic()
            time.sleep(0.3)
            spans.append((start, time.monotonic(), alone))

    threads = [threading.Thread(target=be_there, args=(alone and n == 1,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = [
        (one, other)
        for one, other in itertools.combinations(spans, 2)
        if one[0] < other[1] and other[0] < one[1]
    ]
    assert len(spans) == 3
    assert bool(together) or alone
    assert not [pair for pair in together if pair[0][2] or pair[1][2]]
