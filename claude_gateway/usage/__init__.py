"""Record the usage of every job, check the daily budgets of API keys, and build the reports of `/v1/usage`."""
