"""Small modules for errors, time, periodic tasks and JSON text, which all parts of the gateway use."""
