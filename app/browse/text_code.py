"""A text as a part of an address: deflated, then base64 that fits an address. So a reading of a text is a link to share."""

import base64
import binascii
import zlib

from app.errors import NotFound, Unprocessable

MAX_CHARACTERS = 4000  # an address of any such text is shorter than what servers and browsers take
MAX_BYTES = 4 * MAX_CHARACTERS
BROKEN = "This address holds no text that can be read; it may have been cut off when it was copied."


def encode(text: str) -> str:
    """Raises Unprocessable for a text that is too long, or that is none."""
    if not text.strip():
        raise Unprocessable("There is no text to read; type or paste one.")
    if len(text) > MAX_CHARACTERS:
        raise Unprocessable(
            f"That text has {len(text):,} characters, and {MAX_CHARACTERS:,} are read at a time; shorten it and send it again."
        )
    return base64.urlsafe_b64encode(zlib.compress(text.encode("utf-8", "replace"), 9)).decode().rstrip("=")


def decode(code: str) -> str:
    """Raises NotFound where it is not what `encode` gives."""
    try:
        packed = base64.b64decode(code + "=" * (-len(code) % 4), b"-_", validate=True)
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(packed, MAX_BYTES + 1).decode()
    except (binascii.Error, ValueError, zlib.error) as error:
        raise NotFound(BROKEN, nearest="/text") from error
    if not unpacking.eof or not text.strip() or len(text) > MAX_CHARACTERS:
        raise NotFound(BROKEN, nearest="/text")
    return text


def text_url(text: str) -> str:
    """Where a text is read. Raises as `encode` does."""
    return f"/text/{encode(text)}"
