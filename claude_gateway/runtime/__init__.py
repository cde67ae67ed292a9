"""Listening socket, notifications to systemd, and graceful shutdown."""
