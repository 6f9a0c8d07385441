"""One file a benchmark: `add_options(parser)`, `bench(run)` → document; its docstring is its --help.

`prepare_process(options)`, where there is one, is called before anything is started.
"""
