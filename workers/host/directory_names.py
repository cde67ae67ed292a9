"""Names of the directories that belong to an API key. No I/O."""

import hashlib

_NAME_CHARS = 40


def hash_directory_name(key_id: str, name: str) -> str:
    """Return the directory name for an object, such as a session, to which a client of the key has given a name.

    The directory name is a hash, because `name` may contain any characters. The hash also covers the length of the key
    id. So two different pairs of key id and name are never hashed from the same text.
    """
    text = f"{len(key_id)} {key_id} {name}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_NAME_CHARS]
