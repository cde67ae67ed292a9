"""The home page of the gateway, and the web pages with the API documentation."""
