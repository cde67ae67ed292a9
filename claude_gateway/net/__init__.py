"""Modules for the connections that the gateway makes for clients. They resolve names, check addresses and fetch URLs."""
