"""Lists the models, and resolves names, aliases and retired models."""
