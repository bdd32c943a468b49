"""What an id may be: the name of a file in a folder or in folders below it, without its suffix."""

from __future__ import annotations

import os

from umadapt.errors import UserError

LONGEST = 251  # bytes: with a suffix such as .png as long as file systems allow


def is_id(text: str) -> bool:
    """Whether files of a folder may be called so: no part of it hidden or leading out, each of a length that file
    systems take."""
    try:
        lengths = [len(os.fsencode(part)) for part in text.split("/")]
    except UnicodeEncodeError:
        return False
    hidden = any(part.startswith(".") for part in text.split("/"))
    return all(0 < length <= LONGEST for length in lengths) and not hidden and "\0" not in text


def check_id(text: str, where: object) -> str:
    """The id itself. Raises UserError, which begins with `where`, when no file of a folder could have it: written under
    such a name, a file might leave its folder."""
    if not is_id(text):
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise UserError(
            f"{where}: {shown!r} is no id; expected the name of a file without its suffix, perhaps in folders: none "
            f"empty, absolute or beginning with a dot, {LONGEST} bytes at most"
        )
    return text
