"""The short form of the truth in the READMEs says what the page of a real run says."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("readme", ["README.md", "README.pt-BR.md"])
def test_a_readme_counts_the_cells_as_the_page_of_a_run_does(readme: str) -> None:
    page = (ROOT / "docs" / "truth.md").read_text(encoding="utf-8")
    counts = [line for line in page.splitlines() if line.startswith(("- aio, ", "- sync, "))]
    assert len(counts) == 4
    assert all(line in (ROOT / readme).read_text(encoding="utf-8") for line in counts)
