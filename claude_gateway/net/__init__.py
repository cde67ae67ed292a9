"""Connections that the gateway makes for clients: it resolves host names, checks addresses and fetches URLs."""
