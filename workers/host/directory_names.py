"""Names of the directories that belong to an API key. No I/O."""

import hashlib

_NAME_CHARS = 40


def hash_directory_name(key_id: str, name: str) -> str:
    """Return the directory name for something that a key has named, such as a session.

    The directory name is a hash, because `name` may contain any characters. The length of the key's id is hashed too,
    so that two different pairs of key and name never have the same hash.
    """
    text = f"{len(key_id)} {key_id} {name}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_NAME_CHARS]
