"""Configurations of the client programs: the settings of a person, and settings that keep a program off other hosts."""
