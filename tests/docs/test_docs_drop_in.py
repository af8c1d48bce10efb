"""The page for other programs: its code runs, and its table names what there is."""

import re

from conftest import ROOT

PAGE = (ROOT / "docs" / "drop_in.md").read_text()


def test_every_block_of_code_runs():
    space: dict = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    for block in blocks:
        exec(compile(block, "docs/drop_in.md", "exec"), space)


def test_every_line_of_the_table_is_an_import():
    lines = re.findall(r"^\| .* \| `(from asteroid_joint\.drop_in.*?)` \|$", PAGE, re.MULTILINE)
    assert len(lines) == 7
    for line in lines:
        exec(line, {})
