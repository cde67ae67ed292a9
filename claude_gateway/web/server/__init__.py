"""Server of the HTTP layer: the connections of clients, and the shutdown."""
