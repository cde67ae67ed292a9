"""Package that describes the HTTP API of the gateway and builds the OpenAPI document from these descriptions."""
