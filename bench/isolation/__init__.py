"""Benchmark of isolation: one API key attacks the gateway in many ways, while another key sends chats."""
