"""Log formatters, redaction of secrets in log lines, and the fields of the access log."""
