"""HTTP handlers of the gateway, in one module for each resource."""
