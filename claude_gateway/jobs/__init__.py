"""Runs chat jobs, checks them before the start, retries them, and validates structured output."""
