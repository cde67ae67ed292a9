"""Conversation keys, transcripts and resume files, with which a job finds or starts a process that has its history."""
