"""The shape of the database, as the numbered scripts that made it: the first is number 1."""

# A script that was released never changes: databases exist that went through it. What is to change, a new one changes.
SCRIPTS: tuple[str, ...] = ()
