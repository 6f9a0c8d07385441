"""What the cluster tests and the benchmarks share: servers as processes, a PostgreSQL client, histories. See ../README.md."""
