"""The console command `claude-gateway` and its subcommands."""
