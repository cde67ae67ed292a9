"""HTTP server of the gateway. It manages the connections of clients, and the shutdown."""
