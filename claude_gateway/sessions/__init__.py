"""Sessions, which are stored conversations that a client continues by sending the id of the session.

The package also contains the locks of sessions, the access to the files of sessions, and the cleanup of sessions.
"""
