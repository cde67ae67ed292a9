"""Sandbox for agents: command lines, permissions, and a check whether the sandbox works on this machine."""
