#!/usr/bin/python3
"""psql's everyday backslash commands against one node or PostgreSQL 15: each answers without an error and shows what it is asked for."""

from harness import run as run_module, servers
from harness.run import check

PSQL = "/usr/bin/psql"
TABLES = """
CREATE TABLE planets (id int PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', mass numeric(8,2) CHECK (mass > 0),
                      tags text[], seen timestamptz);
CREATE TABLE notes (body text);
"""
# A command, and what its output must have.
COMMANDS = (
    (r"\d", ("planets", "notes", "table")),
    (r"\d planets", ("character varying(20)", "'x'::character varying", "numeric(8,2)", "text[]", "not null",
                     '"planets_pkey" PRIMARY KEY, btree (id)', "Check constraints:")),
    (r"\d+ planets", ("extended", "planets_pkey")),
    (r"\d notes", ("body", "text")),
    (r"\d planets_pkey", ("id", "primary key, btree, for table \"public.planets\"")),
    (r"\d pg_class", ("relname", "aclitem[]|text[]")),
    (r"\dt", ("planets", "notes")),
    (r"\dt+", ("planets", "permanent")),
    (r"\dt pg_catalog.pg_cl*", ("pg_class",)),
    (r"\di", ("planets_pkey", "planets")),
    (r"\di+", ("planets_pkey",)),
    (r"\du", ("postgres", "Superuser")),
    (r"\dg", ("postgres",)),
    (r"\l", ("postgres", "UTF8")),
    (r"\l+", ("postgres",)),
    (r"\dn", ("public",)),
    (r"\dn+", ("public",)),
    (r"\df pg_size_pretty", ("bigint", "numeric")),
    (r"\df+ pg_size_pretty", ("internal",)),
    (r"\dT", ()),
    (r"\dT int4", ("integer",)),
    (r"\dT+ text", ("text",)),
    (r"\do @>", ("anyarray",)),
    (r"\da array_agg", ()),
    (r"\dC", ("integer",)),
    (r"\dp", ("planets",)),
    (r"\z planets", ("planets",)),
    (r"\db", ("pg_default",)),
    (r"\dconfig work_mem", ("work_mem",)),
    (r"\conninfo", ("postgres",)),
    (r"\encoding", ("UTF8",)),
    (r"\x", ("Expanded display is on.",)),
) + tuple((command, ()) for command in (
    r"\dv", r"\ds", r"\dm", r"\dx", r"\dD", r"\dc", r"\dO", r"\dy", r"\dL", r"\dd", r"\drds", r"\ddp", r"\dF", r"\dX", r"\dA",
    r"\dRp", r"\des", r"\df"))


def add_options(parser):
    parser.add_argument("--against", choices=("1", "3", "postgres"), default="1")


def test(run):
    options = run.options
    server = servers.PostgresServer(run, 1) if options.against == "postgres" else servers.Cluster(run, int(options.against))
    server.up()
    url = next(iter(server.nodes.values())).url
    psql = [PSQL, url, "-X", "-v", "ON_ERROR_STOP=1", "-P", "pager=off"]
    run.command([*psql, "-q", "-c", TABLES], 60)
    failures = []
    for command, wanted in COMMANDS:
        try:
            output = run.command([*psql, "-c", command], 60)
        except run_module.Failure as failure:
            failures.append(f"{command}: {failure}")
            continue
        missing = [w for w in wanted if not any(part in output for part in w.split("|"))]
        if missing:
            failures.append(f"{command}: shows no {missing}:\n{output}")
    check(not failures, "\n".join(failures))
    run.say(f"{len(COMMANDS)} commands answered")
    server.down()


run_module.main(test, "psql_commands", deadline=180, add_options=add_options)
