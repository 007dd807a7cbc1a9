"""One way to say that two sentences are the same text: the hash that keys annotations and guards splits."""

import hashlib
import re

_NOT_WORD = re.compile(r"[^a-z0-9]+")
_NOT_WORD_OF_ANY_SCRIPT = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """Lower-case the text and replace every run of characters outside a-z0-9 by one space, stripped."""
    return _NOT_WORD.sub(" ", text.lower()).strip()


def text_hash(text: str) -> str:
    """First 16 hex digits of sha256 over the normalised text: the id of an annotated sentence."""
    return hashlib.sha256(normalised(text).encode()).hexdigest()[:16]


def words(text: str) -> list[str]:
    """Lower-case words of any script, for near-duplicate detection (`normalised` would empty Cyrillic text)."""
    return _NOT_WORD_OF_ANY_SCRIPT.sub(" ", text.lower()).split()
