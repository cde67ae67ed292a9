"""Start of a `claude` process and communication with it: command line, pipes, frames and protocol."""
