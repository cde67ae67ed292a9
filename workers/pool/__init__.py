"""Pools of chat workers and of agents."""
