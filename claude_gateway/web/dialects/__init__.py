"""The four dialects (API formats) that clients can use. Each dialect has a parser, encoders and response headers."""
