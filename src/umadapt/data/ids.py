"""What an id may be: the name of a file in a folder, without its suffix."""

from __future__ import annotations

import os

from umadapt.errors import UserError

LONGEST = 251  # bytes: with a suffix such as .png as long as file systems allow


def is_id(text: str) -> bool:
    """Whether files of a folder may be called so: no folder in it, not hidden, of a length that file systems take."""
    try:
        length = len(os.fsencode(text))
    except UnicodeEncodeError:
        return False
    return 0 < length <= LONGEST and not text.startswith(".") and not set(text) & {"/", "\0"}


def check_id(text: str, where: object) -> str:
    """The id itself. Raises UserError, which begins with `where`, when no file of a folder could have it: written under
    such a name, a file might leave its folder."""
    if not is_id(text):
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise UserError(
            f"{where}: {shown!r} is no id; expected the name of a file without its suffix: no / in it, no dot at its "
            f"start, {LONGEST} bytes at most"
        )
    return text
