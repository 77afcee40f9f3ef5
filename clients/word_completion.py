"""What a shell may complete the word of an option or an argument to."""

from __future__ import annotations

from collections.abc import Callable


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Complete the start of a word to those of `words` that begin so."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete
