"""Package that builds one OpenAPI document from the described operations of the HTTP API."""
