"""Manages directories, threads and process priorities on the host, and measures memory usage."""
