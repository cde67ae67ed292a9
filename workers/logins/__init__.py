"""The logins with which the processes reach the upstream: their limits, and the choice of a login for each job."""
