"""The four dialects of the HTTP layer. Each has a parser, encoders and response headers."""
