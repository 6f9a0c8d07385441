#!/usr/bin/env python3
"""Writes the columns and the constant rows of the system catalogs from a PostgreSQL 15 server.

Usage: tools/generate_system_catalogs.py --port 5432 [--host 127.0.0.1] [--user postgres]

The output (src/sql/catalog/virtual_tables_{columns,constant}_*.cc) is checked in. Types that sql/types does not know
are replaced: domains by their base type, xid by oid, expression trees by text, arrays of such types by text[].
"""
import argparse
import pathlib
import re
import subprocess

from generate_sql_catalogue import ARRAYS

SOURCES = pathlib.Path(__file__).resolve().parent.parent / "src" / "sql" / "catalog"
TYPES = (16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1700, 2205, 2206)
PROVIDED_TYPES = TYPES + (705, 2202, 2203, 2204, 2249, 2275, 2276, 2278, 2776, 2950, 4089, 4096) + ARRAYS
# Relations about replication, statistics and large objects of a single server that mean nothing here.
LEFT_OUT = ("^(pg_backend_memory|pg_shmem|pg_stat_progress|pg_stat_(wal|slru|recovery|ssl|gssapi|xact)|_pg_)")
CONSTANT = {  # relation: condition
    "pg_am": "true", "pg_language": "lanname <> 'plpgsql'", "pg_tablespace": "true",
    "pg_type": f"oid in {PROVIDED_TYPES}", "pg_collation": "collname in ('default', 'C', 'POSIX', 'ucs_basic')",
    "pg_opfamily": f"oid in (select opcfamily from pg_opclass where opcmethod in (403, 405) and opcintype in {TYPES})",
    "pg_opclass": f"opcmethod in (403, 405) and opcintype in {TYPES}",
    "information_schema.character_sets": "true",
    "information_schema.collations": "collation_name in ('default', 'C', 'POSIX', 'ucs_basic')",
    "information_schema.collation_character_set_applicability":
        "collation_name in ('default', 'C', 'POSIX', 'ucs_basic')",
    "information_schema.sql_parts": "true",
}
HEADER = """// Written by {tool} from PostgreSQL 15: {what}.
#include "sql/catalog/virtual_tables.h"

namespace orrery::sql {{
namespace {{

constexpr {row} kRows[] = {{
{rows}
}};

}}  // namespace

std::span<const {row}> {accessor}() {{ return kRows; }}

}}  // namespace orrery::sql
"""


def query(args, sql):
    out = subprocess.run(
        ["psql", "-h", args.host, "-p", str(args.port), "-U", args.user, "-d", "postgres", "-XAt",
         "-F", "\t", "-c", sql], check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in out.splitlines()]


def write(file, what, row, accessor, rows):
    (SOURCES / file).write_text(HEADER.format(tool="tools/generate_system_catalogs.py", what=what, row=row, accessor=accessor, rows="\n".join(rows)))


def wrap(text, indent="     "):
    """A string literal, cut after blanks and bars into lines of at most 100 columns."""
    lines, line = [], ""
    for piece in re.findall(r"[^ |]*[ |]?", text):
        if line and len(indent) + len(line) + len(piece) + 4 > 100:
            lines.append(line)
            line = ""
        line += piece
    lines.append(line)
    return "\n".join(f'{indent}"{l}"' for l in lines)


def columns(args):
    rows = query(args, f"""
        with base as (select oid, case when typtype = 'd' then typbasetype else oid end as b from pg_type)
        select n.nspname, c.oid, c.relname, c.relkind,
               string_agg(a.attname || ' ' || case when b.b in {TYPES + ARRAYS} and t.typname <> 'anyarray' then t.typname
                          when t.typname = 'xid' then 'oid' when t.typname ~ '^_' then '_text' else 'text' end || case when a.attnotnull then '!' else '' end, ', ' order by attnum)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
        join base b on b.oid = a.atttypid join pg_type t on t.oid = b.b
        where n.nspname in ('pg_catalog', 'information_schema') and relkind in ('r', 'v') and attnum > 0
              and relname !~ '{LEFT_OUT}'
        group by 1, 2, 3, 4 order by 1 desc, 3""")
    files = {"pg_1": [], "pg_2": [], "information": []}
    for schema, oid, name, kind, cols in rows:
        key = "information" if schema == "information_schema" else "pg_1" if name < "pg_prepared" else "pg_2"
        files[key].append(f"    {{{oid}, '{kind}', \"{name}\",\n{wrap(cols)}}},")
    write("virtual_tables_columns_pg_1.cc", "columns of pg_catalog, first half", "RelationSpec", "PgCatalogRelations1",
          files["pg_1"])
    write("virtual_tables_columns_pg_2.cc", "columns of pg_catalog, second half", "RelationSpec",
          "PgCatalogRelations2", files["pg_2"])
    write("virtual_tables_columns_information.cc", "columns of information_schema", "RelationSpec",
          "InformationSchemaRelations", files["information"])


def constant(args):
    out = []
    for relation, condition in CONSTANT.items():
        qualified = relation if "." in relation else "pg_catalog." + relation
        cols = query(args, f"""select string_agg(quote_ident(attname) || case
                when atttypid in (24, 2205, 2206) then '::oid' else '::text' end, ', ' order by attnum)
            from pg_attribute where attrelid = '{qualified}'::regclass and attnum > 0""")[0][0]
        rows = query(args, f"copy (select {cols} from {qualified} where {condition} "
                          f"order by length({cols.split(',')[0]}), 1) to stdout")
        quoted = ["|".join(r).replace('"', '\\"').replace("\\N", "~") for r in rows]
        assert not any("\\" in q.replace('\\"', "") for q in quoted), relation
        body = "\n".join(wrap(q + ("\\n" if i + 1 < len(quoted) else "")) for i, q in enumerate(quoted))
        out.append(f"    {{\"{qualified}\",\n{body}}},")
    write("virtual_tables_constant_rows.cc", "rows that never change", "ConstantRows", "ConstantCatalogRows", out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--user", default="postgres")
    args = parser.parse_args()
    columns(args)
    constant(args)


if __name__ == "__main__":
    main()
