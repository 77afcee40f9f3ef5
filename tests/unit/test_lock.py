"""The locks name all there is to install, since they are installed without following what packages ask for."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
LOCKS: Final = ("requirements.txt", "requirements-dev.txt")


def locked(lock: str) -> dict[str, str]:
    """Version by name of what `lock` has for this platform and Python."""
    lines = re.findall(r"^(\S.*?==.*?) *\\?$", (ROOT / lock).read_text(), re.MULTILINE)
    requirements = [Requirement(line) for line in lines]
    return {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each in requirements
        if each.marker is None or each.marker.evaluate()
    }


def asked_for(names: set[str]) -> dict[str, Requirement]:
    """What these packages, as they are installed, ask for here, by the words in which they do."""
    asked: dict[str, Requirement] = {}
    wanted = [(name, "") for name in names]
    followed: set[tuple[str, str]] = set()
    while wanted:
        name, extra = wanted.pop()
        if (name, extra) in followed:
            continue
        followed.add((name, extra))
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                asked[f"{name}: {text}"] = requirement
                wanted += [(canonicalize_name(requirement.name), each) for each in ("", *requirement.extras)]
    return asked


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_each_package_that_its_packages_ask_for_in_a_version_that_suits_them(lock: str) -> None:
    versions = locked(lock)
    asked = asked_for(set(versions))
    assert len(asked) >= len(versions) / 2
    unsuited = [
        words
        for words, requirement in asked.items()
        if not requirement.specifier.contains(versions.get(canonicalize_name(requirement.name), ""), prereleases=True)
    ]
    assert unsuited == []


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_installed_here_is_what_the_lock_names(lock: str) -> None:
    versions = locked(lock)
    assert {name: metadata.version(name) for name in versions} == versions
