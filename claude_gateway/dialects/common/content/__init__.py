"""Content of messages in all dialects: content blocks, images, documents, thinking, and turns of a conversation."""
