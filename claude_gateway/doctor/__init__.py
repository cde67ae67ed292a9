"""Package that checks the machine and the configuration for the command `claude-gateway doctor`."""
