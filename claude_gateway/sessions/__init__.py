"""Sessions, which are stored conversations that clients continue by an id.

The package also contains the locks of sessions, their files, and their cleanup.
"""
