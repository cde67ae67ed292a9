"""Modules for the connections that the gateway makes for clients. They resolve names, check IPs and fetch URLs."""
