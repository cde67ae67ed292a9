"""HTTP layer of the gateway: routes, middleware, endpoints and web pages."""
