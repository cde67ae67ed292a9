"""Reads the unit and credentials of the installed systemd service, and lets a command run as the service's user."""
