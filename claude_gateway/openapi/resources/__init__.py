"""Package that describes each operation of the HTTP API. For each module in `web/endpoints` there is one module."""
