"""Conversation keys, transcripts and resume files.

With them, the gateway finds a CLI process that already holds the earlier turns of a job's conversation, or starts a
process that reads these turns from a file.
"""
