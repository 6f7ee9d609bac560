"""Text of a file, shown in a message: a terminal obeys control characters, and some others hide or reorder text."""

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of characters that control, format or break."""


def visible(text: str) -> str:
    r"""The text in one line, with control, format and line-breaking characters as escapes such as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(ascii(char)[1:-1] if unicodedata.category(char) in _HIDDEN else char for char in text)
