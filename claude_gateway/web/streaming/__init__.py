"""Sending of streamed responses and of large response bodies."""
