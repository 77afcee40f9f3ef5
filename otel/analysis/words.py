"""What a person's words mean in a text that is searched. Pure, safe in any thread."""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W_]+", re.UNICODE)


def words_of(text: str) -> list[str]:
    """Split text into the words that are compared: runs of letters and digits, folded to lower case."""
    return [word.lower() for word in WORD.findall(text)]


def text_matches(text: str, query: str) -> bool:
    """Say whether each word of `query` begins some word of `text`; a query without any word finds nothing."""
    wanted_words = words_of(query)
    words = words_of(text)
    return bool(wanted_words) and all(any(word.startswith(wanted) for word in words) for wanted in wanted_words)
