"""Small modules for errors, time, periodic tasks and JSON text. All parts of the gateway use them."""
