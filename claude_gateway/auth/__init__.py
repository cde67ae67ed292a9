"""Creates, stores and authenticates API keys, and limits the requests that clients send with each key."""
