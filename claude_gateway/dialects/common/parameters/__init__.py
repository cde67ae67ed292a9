"""Request parameters that several dialects share: their types, their meaning, and how the gateway supports them."""
