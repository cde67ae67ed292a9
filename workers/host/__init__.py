"""Directories, memory, threads and process priorities on the host."""
