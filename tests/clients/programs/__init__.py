"""How each client is pointed at the gateway: what a person would set, and what keeps it to itself."""
