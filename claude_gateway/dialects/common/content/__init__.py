"""Modules that check and convert the content of messages, such as content blocks, images, documents and thinking."""
