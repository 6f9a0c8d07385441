"""One file a benchmark: `add_options(parser)`, `bench(run)` → document, PEER, and what its docstring says in --help."""
