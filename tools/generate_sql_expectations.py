#!/usr/bin/env python3
"""Asks a PostgreSQL 15 server what functions, operators, casts and aggregates answer, for tests/unit/sql_types.

Usage: tools/generate_sql_expectations.py --port 5432 [--host 127.0.0.1] [--user postgres]

Writes tests/unit/sql_types/testdata/*.tsv, one case a line:
  kind, name, "type value" arguments joined by "|", result type, result (or ! SQLSTATE and message)
where kind is call, op, cast or agg (arguments of agg are rows) and a value is text as the type's input takes it, or
\\N for NULL. Backslash, tab, newline and | in values are written \\\\, \\t, \\n and \\p. The session runs with
TimeZone America/New_York so that time zones matter.
"""
import argparse
import itertools
import pathlib
import random
import subprocess

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "unit" / "sql_types" / "testdata"


def escape(text):
    return (text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("|", "\\p"))


def literal(arg):
    kind, value = arg
    if value is None:
        return f"NULL::{kind}"
    quoted = "'" + value.replace("'", "''") + "'"
    return quoted if kind == "unknown" else f"{quoted}::{kind}"


class Server:
    def __init__(self, args):
        self.base = ["psql", "-h", args.host, "-p", str(args.port), "-U", args.user, "-d", "postgres",
                     "-XqAt", "-F", "\t", "-v", "VERBOSITY=verbose"]

    def run(self, sql):
        return subprocess.run(self.base + ["-f", "-"], input=sql, capture_output=True, text=True)

    def setup(self):
        self.run("""
            create or replace function orrery_ask(q text) returns table(t text, r text) language plpgsql as $$
            declare message text;
            begin
              begin
                execute 'select pg_typeof(x)::text, case when pg_typeof(x) = ''"char"''::regtype then x::text else x::text end from (' || q || ') s(x)' into t, r;
              exception when others then
                get stacked diagnostics message = message_text;
                t := '!' || sqlstate; r := message;
              end;
              return next;
            end $$;""")

    def ask(self, queries):
        sql = "set timezone='America/New_York';\n"
        for q in queries:
            sql += ("select coalesce(t,''), coalesce(replace(replace(replace(r, E'\\\\', E'\\\\\\\\'), E'\\t', E'\\\\t'),"
                    " E'\\n', E'\\\\n'), E'\\\\N') from orrery_ask($q$" + q + "$q$);\n")
        out = self.run(sql)
        lines = out.stdout.splitlines()
        if len(lines) != len(queries):
            raise SystemExit(f"{len(lines)} answers to {len(queries)} questions\n{out.stderr[:2000]}")
        return [line.split("\t") for line in lines]


def expression(case):
    kind, name, args = case
    if kind == "call":
        return f"select {name}({', '.join(literal(a) for a in args)})"
    if kind == "op":
        if len(args) == 1:
            return f"select {name} {literal(args[0])}"
        return f"select {literal(args[0])} {name} {literal(args[1])}"
    if kind == "cast":
        return f"select cast({literal(args[0])} as {name})"
    rows = ", ".join(f"({literal(a)})" for a in args)
    call = f"{name}(v)" if name != "string_agg" else "string_agg(v, ', ')"
    return f"select {call} from (values {rows}) t(v)"


def write(server, file, cases):
    answers = server.ask([expression(c) for c in cases])
    with open(OUT / file, "w") as f:
        for (kind, name, args), (result_type, result) in zip(cases, answers):
            joined = "|".join(t + " " + ("\\N" if v is None else escape(v)) for t, v in args)
            f.write(f"{kind}\t{name}\t{joined}\t{result_type}\t{result}\n")
    print(file, len(cases))


def pairs(kind, names, type_a, values_a, type_b, values_b):
    return [(kind, n, [(type_a, a), (type_b, b)]) for n in names for a in values_a for b in values_b]


def numeric_cases(rng):
    numbers = ["0", "0.00", "1", "-1", "10", "0.1", "-0.001", "123.456", "99999999.99999999", "1e20", "-1e-20",
               "12345678901234567890.123456789", "NaN", "Infinity", "-Infinity", "3", "7", "0.5", "1.5", "-2.5",
               "4503599627370496", "10000", "9999.9999", "100000000"]
    for _ in range(12):
        digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 30)))
        numbers.append(rng.choice(["", "-"]) + digits + "." + "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 20))))
    cases = pairs("op", ["+", "-", "*", "/", "%"], "numeric", numbers, "numeric", numbers)
    cases += pairs("op", ["<", "=", ">="], "numeric", numbers[:18], "numeric", numbers[:18])
    for n in numbers + ["2", "0.9", "1.05", "1.1", "1.2", "1000000", "1e-10", "1e100", "5000", "-5000", "0.0001"]:
        for f in ["abs", "ceil", "floor", "round", "trunc", "sign", "sqrt", "exp", "ln", "log", "scale", "min_scale",
                  "trim_scale"]:
            cases.append(("call", f, [("numeric", n)]))
        for s in ["-3", "-1", "0", "1", "2", "5"]:
            cases.append(("call", "round", [("numeric", n), ("int4", s)]))
            cases.append(("call", "trunc", [("numeric", n), ("int4", s)]))
        for t in ["int2", "int4", "int8", "float4", "float8", "text", "numeric(10,2)", "numeric(5,-2)", "numeric(3,3)"]:
            cases.append(("cast", t, [("numeric", n)]))
    bases = ["2", "10", "0.5", "1.1", "-2", "0", "123.45", "1", "NaN", "Infinity", "-Infinity", "99.9"]
    exps = ["0", "1", "-1", "2", "3", "10", "0.5", "-0.5", "1.5", "100", "-20", "NaN", "Infinity", "-Infinity", "31.7"]
    cases += pairs("call", ["power"], "numeric", bases, "numeric", exps)
    cases += pairs("call", ["div", "mod", "gcd", "lcm", "log"], "numeric", numbers[:16], "numeric", numbers[:16])
    for t in ["  12 ", "1e5", "1.5e-3", ".5", "5.", "+7", "-", "", "1e", "abc", "1_000", "0x10", "1e400000000000", "inf", "-inf", "+Infinity", "nan", "1e131071", "1e131072", "1e-16383", "1e-16384"]:
        cases.append(("cast", "numeric", [("unknown", t)]))
    return cases


def scalar_cases(rng):
    ints = ["0", "1", "-1", "7", "-7", "32767", "-32768", "100"]
    big = ["2147483647", "-2147483648", "65536"]
    huge = ["9223372036854775807", "-9223372036854775808", "4294967296"]
    cases = []
    values = {"int2": ints, "int4": ints + big, "int8": ints + big + huge}
    for a, b in itertools.product(values, values):
        cases += pairs("op", ["+", "-", "*", "/"], a, values[a][:9] + values[a][-2:], b, values[b][:7] + values[b][-2:])
        cases += pairs("op", ["<", "="], a, values[a][:5], b, values[b][:5])
    for t in values:
        cases += pairs("op", ["%", "&", "|", "#"], t, values[t], t, values[t])
        cases += pairs("op", ["<<", ">>"], t, values[t], "int4", ["0", "1", "5", "15", "31", "33"])
        cases += [("op", o, [(t, v)]) for o in ["-", "+", "~", "@"] for v in values[t]]
        cases += [("call", "abs", [(t, v)]) for v in values[t]]
        for target in ["int2", "int4", "int8", "float4", "float8", "numeric", "text", "bool", "oid", "varchar(3)", "char(8)"]:
            cases += [("cast", target, [(t, v)]) for v in values[t]]
    cases += pairs("call", ["gcd", "lcm"], "int4", ints + big, "int4", ints[:6] + big)
    floats = ["0", "-0", "1", "-1.5", "0.1", "1e15", "1e-5", "123456789.123", "1e300", "1e-300", "NaN", "Infinity", "-Infinity", "2.5", "3.5", "0.0001", "1e14", "123456", "1234567", "9007199254740993"]
    for t in ["float8", "float4"]:
        usable = [f for f in floats if t == "float8" or "300" not in f]
        cases += pairs("op", ["+", "-", "*", "/", "<", "=", ">="], t, usable, t, usable)
        for target in ["int2", "int4", "int8", "float4", "float8", "numeric", "text"]:
            cases += [("cast", target, [(t, v)]) for v in usable]
    for f in ["sqrt", "cbrt", "exp", "ln", "log", "ceil", "floor", "round", "trunc", "sign", "sin", "cos", "atan", "degrees", "radians"]:
        cases += [("call", f, [("float8", v)]) for v in floats if f not in ("sin", "cos") or "e" not in v]
    cases += pairs("call", ["power"], "float8", floats[:12], "float8", ["0", "2", "0.5", "-1", "NaN", "Infinity"])
    for target, texts in {
            "bool": ["t", "TRUE", " yes ", "on", "1", "f", "no", "of", "off", "0", "o", "", "2", "tru", "truee"],
            "int4": ["12", " 12 ", "+5", "-5", "", "a", "1.5", "2147483648", "12a", "99999999999999999999", "- 1"],
            "int2": ["32768", "-32768"], "int8": ["9223372036854775808", "-9223372036854775808"],
            "oid": ["0", "4294967295", "4294967296", "-1", "x"],
            "float8": ["1.5", "1e400", "1e-400", "nan", "inf", "-Infinity", "abc", "", "1.5x", " 7 ", ".5", "5.", "4.9e-324"],
            "float4": ["1e40", "1e-50", "0.1", "16777217"],
            "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", "a0eebc99", "z0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
            "bytea": ["\\xDEADbeef", "\\x1", "\\xzz", "abc\\\\def", "\\001a", "\\9", "a\\"],
            "varchar(3)": ["ab", "abc", "abcd", "abc   "], "char(3)": ["a", "abc", "abcd", "ä"],
            "name": ["x" * 70], '"char"': ["a", "abc", ""]}.items():
        cases += [("cast", target, [("unknown", v)]) for v in texts]
    return cases


def string_cases(rng):
    texts = ["", "a", "Hello World", "äöü€", "  pad  ", "x,y,,z", "a%b_c\\d"]
    cases = []
    for f in ["length", "char_length", "octet_length", "lower", "upper", "initcap", "reverse", "btrim", "ltrim", "rtrim", "ascii", "md5", "quote_literal", "quote_ident", "bit_length"]:
        cases += [("call", f, [("text", v)]) for v in texts]
    for f in ["left", "right", "repeat", "lpad", "rpad", "substr", "substring"]:
        cases += pairs("call", [f], "text", texts, "int4", ["-2", "0", "1", "3", "12"])
    for t in texts:
        for a, b in itertools.product(["-1", "1", "2", "5"], ["-1", "0", "2", "100"]):
            cases.append(("call", "substr", [("text", t), ("int4", a), ("int4", b)]))
        for n in ["-1", "0", "1", "2", "4"]:
            cases.append(("call", "split_part", [("text", t), ("text", ","), ("int4", n)]))
        for n in ["3", "14"]:
            cases.append(("call", "lpad", [("text", t), ("int4", n), ("text", "xy")]))
            cases.append(("call", "rpad", [("text", t), ("int4", n), ("text", "€")]))
        cases.append(("call", "replace", [("text", t), ("text", "l"), ("text", "LL")]))
        cases.append(("call", "translate", [("text", t), ("text", "aäl"), ("text", "1ö")]))
        cases.append(("call", "overlay", [("text", t), ("text", "__"), ("int4", "2")]))
        cases.append(("call", "overlay", [("text", t), ("text", "__"), ("int4", "2"), ("int4", "4")]))
        cases.append(("call", "concat", [("text", t), ("int4", "5"), ("bool", "t"), ("text", None)]))
        cases.append(("call", "concat_ws", [("text", ","), ("text", t), ("text", None), ("numeric", "1.50")]))
        cases.append(("call", "strpos", [("text", t), ("text", "o")]))
        cases.append(("call", "starts_with", [("text", t), ("text", "He")]))
        cases.append(("call", "btrim", [("text", t), ("text", "xz dä")]))
        cases += [("op", "||", [("text", t), (k, v)]) for k, v in [("text", "b"), ("int4", "4"), ("bool", "t"), ("unknown", "u")]]
        for target in ["varchar(2)", "char(4)", "name", "bytea", '"char"', "int4", "bool"]:
            cases.append(("cast", target, [("text", t)]))
        for p in ["%", "", "a%", "%o%", "_ello%", "a\\%b\\_c%", "%l_", "a\\", "äö__", "HELLO%"]:
            cases += [("op", o, [("text", t), ("text", p)]) for o in ["~~", "!~~", "~~*"]]
        for p in ["^H", "o", "l+", "[äö]", "(a|b)%", "^$", "\\d", "hello"]:
            cases += [("op", o, [("text", t), ("text", p)]) for o in ["~", "!~", "~*"]]
        cases.append(("call", "regexp_replace", [("text", t), ("text", "([a-z])l"), ("text", "<\\1\\&>"), ("text", "g")]))
        cases.append(("call", "regexp_replace", [("text", t), ("text", "x*"), ("text", "-")]))
        cases.append(("call", "regexp_replace", [("text", t), ("text", "x*"), ("text", "-"), ("text", "g")]))
        cases.append(("call", "substring", [("text", t), ("text", "l(.)")]))
    for f in ["%s", "%10s|", "%-5s|", "%I", "%L", "%%", "%2$s %1$s", "%*s", "%z", "%", "%3$s"]:
        cases.append(("call", "format", [("text", f), ("text", "it's"), ("int4", "7")]))
    for n in ["0", "65", "8364", "128512", "-1", "55296", "1114112"]:
        cases.append(("call", "chr", [("int4", n)]))
    for n in ["0", "255", "-1"]:
        cases += [("call", "to_hex", [("int4", n)]), ("call", "to_hex", [("int8", n)])]
    for e in ["hex", "base64", "escape", "nope"]:
        cases.append(("call", "encode", [("bytea", "\\x00ff5c61"), ("text", e)]))
    for t, e in [("AP9c", "base64"), ("AP9", "base64"), ("A=", "base64"), ("00ff", "hex"), ("0g", "hex"), ("a\\\\b", "escape")]:
        cases.append(("call", "decode", [("text", t), ("text", e)]))
    cases += pairs("op", ["=", "<"], "bpchar", ["a", "a ", "b"], "bpchar", ["a", "a  ", "ab"])
    cases += [("call", "sha256", [("bytea", "abc")]), ("call", "length", [("char(5)", "ab")])]
    return cases


def datetime_cases(rng):
    cases = []
    dates = ["2000-01-01", "1999-12-31", "2024-02-29", "2023-03-12", "0001-01-01", "0044-03-15 BC", "infinity", "-infinity", "5874897-12-31", "4714-11-24 BC", "2021-11-07"]
    stamps = ["2000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "2024-02-29 12:34:56.789", "2023-03-12 02:30:00", "2021-11-07 01:30:00", "0044-03-15 BC 10:00", "infinity", "-infinity", "1970-01-01 00:00:00", "294276-12-31 23:59:59"]
    times = ["00:00", "04:05:06.789", "23:59:59.999999", "24:00:00", "12:00"]
    intervals = ["1 day", "1 month", "-1 year 2 mons", "1 mon -1 day 02:03:04.5", "100 hours", "1.5 days", "-00:00:01", "0", "1 year 2 months 3 days 4 hours 5 minutes 6.7 seconds"]
    for t in ["date", "timestamp", "timestamptz"]:
        for text in ["1999-01-08", "January 8, 1999", "1/8/1999", "1/18/1999", "18/1/1999", "01/02/03", "1999-Jan-08", "Jan-08-1999", "08-Jan-1999", "19990108", "990108", "J2451187", "January 8, 99 BC", "2023-02-29", "2023-13-01", "abc", "", "1999-01-08 04:05:06", "1999-01-08 04:05:06.789-8", "1999-01-08 04:05:06 PST", "1999-01-08T04:05:06Z", "1999-01-08 04:05 PM", "1999-01-08 13:05 PM", "19990108T040506", "1999-01-08 04:05:06 America/Los_Angeles", "1999-01-08 04:05:06+05:30", "2023-03-12 02:30:00", "2023-11-05 01:30:00", "epoch", "infinity", "-infinity", "Mon Jan 8 04:05:06 1999 PST", "1999-01-08 24:00:00", "1999-01-08 25:00:00", "1999-01-08 04:60", "10000-01-01", "294277-01-01", "5874898-01-01", "0000-01-01", "1999-01-08 04:05:06.1234567", "1999-01-08 nowhere", "99-1-8", "1.8.1999"]:
            cases.append(("cast", t, [("unknown", text)]))
    for text in ["04:05", "04:05:06.789", "040506", "04:05 AM", "12:00 am", "04:05:06 PST", "24:00", "24:00:01", "25:00", "allballs", "x", "2003-04-12 04:05:06"]:
        cases.append(("cast", "time", [("unknown", text)]))
    for text in intervals + ["1-2", "3 4:05:06", "P1Y2M3DT4H5M6S", "1 day ago", "@ 1 minute", "1.5 months", "1.2 years", "2 weeks", "1 century", "5", "1:2", "1:2:3.4", "-1:30", "1 fortnight", "", "1 2 3", "9999999999 years", "1 decade 3 mils", "10 us", "3 ms", "1 day -1:00"]:
        cases.append(("cast", "interval", [("unknown", text)]))
    cases += [("cast", f"interval {f}", [("unknown", v)]) for f in ["year", "month", "day", "hour", "minute", "second", "year to month", "day to second"] for v in ["1", "1 year 2 months 3 days 04:05:06.7"]]
    cases += [("cast", f"{t}({p})", [("unknown", "1999-01-08 04:05:06.789456")]) for t in ["timestamp", "timestamptz", "time"] for p in [0, 2, 6]]
    cases += pairs("op", ["+", "-"], "date", dates, "int4", ["1", "-400", "100000"])
    cases += pairs("op", ["-"], "date", dates, "date", dates)
    cases += pairs("op", ["+", "-"], "date", dates, "interval", intervals)
    for t in ["timestamp", "timestamptz"]:
        cases += pairs("op", ["+", "-"], t, stamps, "interval", intervals)
        cases += pairs("op", ["-", "<"], t, stamps, t, stamps)
        cases += pairs("call", ["age"], t, stamps, t, stamps)
        for target in ["date", "time", "timestamp", "timestamptz", "text"]:
            cases += [("cast", target, [(t, v)]) for v in stamps]
    cases += pairs("op", ["<", "=", ">"], "date", dates, "timestamptz", stamps)
    cases += pairs("op", ["+", "-"], "time", times, "interval", intervals)
    cases += pairs("op", ["-"], "time", times, "time", times)
    cases += pairs("op", ["+"], "date", dates, "time", times)
    cases += pairs("op", ["+", "-", "=", "<"], "interval", intervals, "interval", intervals)
    cases += pairs("op", ["*", "/"], "interval", intervals, "float8", ["2", "0.5", "-1.3", "0", "1e10", "3"])
    units = ["microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century", "millennium", "epoch", "dow", "isodow", "doy", "isoyear", "julian", "timezone", "timezone_hour", "foo"]
    for t, values in [("timestamp", stamps), ("timestamptz", stamps), ("date", dates), ("interval", intervals), ("time", times)]:
        for u in units:
            cases += [("call", f, [("text", u), (t, v)]) for f in ["pg_catalog.extract", "date_part"] for v in values]
    for t, values in [("timestamp", stamps), ("timestamptz", stamps), ("interval", intervals)]:
        cases += [("call", "date_trunc", [("text", u), (t, v)]) for u in units for v in values]
    for z in ["UTC", "America/Los_Angeles", "PST", "+05:30", "Europe/Berlin", "Nowhere/Land", "EST5EDT"]:
        for t in ["timestamp", "timestamptz"]:
            cases += [("call", "timezone", [("text", z), (t, v)]) for v in stamps[:6]]
    for f in ["justify_hours", "justify_days", "justify_interval"]:
        cases += [("call", f, [("interval", v)]) for v in intervals + ["35 days 30:00", "-35 days 50:00", "1 mon -1 hour"]]
    for y, m, d in [("2024", "2", "29"), ("2023", "2", "29"), ("0", "1", "1"), ("-44", "3", "15"), ("2020", "13", "1")]:
        cases.append(("call", "make_date", [("int4", y), ("int4", m), ("int4", d)]))
    cases += [("call", "make_time", [("int4", h), ("int4", "30"), ("float8", s)]) for h in ["8", "24", "25"] for s in ["0", "59.5", "61"]]
    cases += [("call", "to_timestamp", [("float8", v)]) for v in ["0", "1284352323.5", "-1", "Infinity", "NaN", "1e20"]]
    cases += [("call", "isfinite", [("date", v)]) for v in dates[:7]]
    return cases


def aggregate_cases(rng):
    cases = []
    rows = {"int2": ["1", "2", None, "5"], "int4": ["2147483647", "1", None, "-7"], "int8": ["9223372036854775807", "5", "-3"],
            "numeric": ["1.50", "2.25", None, "1000000"], "float4": ["1.5", "2.5", None], "float8": ["1.1", "2.2", "3.3", None],
            "interval": ["1 day", "2 hours", "1 mon"]}
    for t, values in rows.items():
        names = ["sum", "avg", "min", "max", "count"]
        if t != "interval":
            names += ["variance", "stddev", "var_pop", "stddev_pop", "var_samp", "stddev_samp"]
        for n in names:
            cases += [("agg", n, [(t, v) for v in values]), ("agg", n, [(t, values[0])]), ("agg", n, [(t, None)])]
    for t in ["int2", "int4", "int8"]:
        cases += [("agg", n, [(t, v) for v in rows[t]]) for n in ["bit_and", "bit_or", "bit_xor"]]
    for t, values in {"text": ["b", "a", None], "date": ["2020-01-01", "2019-01-01"], "timestamptz": ["2020-01-01", "2019-01-01"], "bpchar": ["a ", "a"]}.items():
        cases += [("agg", n, [(t, v) for v in values]) for n in ["min", "max", "count"]]
    cases += [("agg", n, [("bool", v) for v in vs]) for n in ["bool_and", "bool_or", "every"] for vs in [["t", "f"], ["t", None], [None], ["f", "f"]]]
    cases += [("agg", "string_agg", [("text", v) for v in vs]) for vs in [["a", "b"], ["a", None, "c"], [None]]]
    return cases


def formatting_cases(rng):
    date_formats = [
        "YYYY-MM-DD HH24:MI:SS", "DD Mon YYYY", "FMDay, FMDDth FMMonth YYYY", "Day|DAY|day|Dy|DY|dy", "MONTH|month|Month|MON|mon",
        "HH:MI:SS AM", "HH12:MI p.m.", "hh12 A.M.", "am PM", "YYYY BC", "yyyy a.d.", "Y,YYY YYY YY Y", "IYYY-IW-ID IYY IY I IDDD",
        "DDD D WW W Q CC J", "RM rm FMRM", "MS US FF1 FF2 FF3 FF4 FF5 FF6", "SSSS SSSSS", "TZ tz TZH TZM TZH:TZM OF FMOF",
        "FMMM/FMDD/FMYY FMHH24 FMMI FMSS FMWW FMIW FMDDD FMCC", "DDth MMTH YYYYth HH24TH Dth", '"at" HH24 "o\\"clock" \\"MI',
        "TMMonth TMDay", "Hh24 xyz äö 123", "FX YYYY", "YYYYMMDDHH24MISS", "HH24:MI:SS.US", "DDSP", "FM", "TM", ""]
    times = ["2024-02-29 12:34:56.789", "1999-12-31 23:59:59.999999", "2000-01-01 00:00:00", "0044-03-15 BC 10:00", "2021-11-07 01:30:00",
             "0099-07-04 03:04:05.000006", "12345-06-07 08:09:10", "2023-10-11 11:12:13", "infinity", "2020-12-28 00:30"]
    cases = pairs("call", ["to_char"], "timestamp", times, "text", date_formats)
    cases += pairs("call", ["to_char"], "timestamptz", times[:6], "text", date_formats)
    cases += pairs("call", ["to_char"], "date", ["2024-02-29", "0001-01-01 BC", "infinity"], "text", date_formats[:8])
    intervals = ["1 year 2 mons 3 days 04:05:06.789", "-1 year -2 mons -3 days -04:05:06.789", "100:20:30", "0", "15 months", "-36 hours", "24 months"]
    cases += pairs("call", ["to_char"], "interval", intervals, "text", date_formats + ["Mon", "D", "OF", "AD", "YYYY", "MM DD", "FMRM"])
    numbers = ["0", "1", "-1", "12", "-12.34", "123.456", "0.1", "-0.05", "1234567.891", "-1234567", "0.5", "485", "3999", "4000", "99999999999.99", "10.00"]
    formats = ["999", "9999", "999.99", "FM999.99", "099", "0999.90", "FM0999.99", "FM990.009", "9.9", "FM9.9", ".99", "0.0", "S999", "999S", "SG999", "MI999", "999MI",
               "PL999", "999PL", "FM999MI", "FM999PL", "999PR", "FM999PR", "999.99PR", "9,999,999", "9G999G999D99", "FM9,999,999.99", "L999.99", "RN", "FMRN", "rn",
               "FMrn", "999th", "999TH", "FM999th", "99V99", "999V9", "9.99EEEE", "9EEEE", "B999", "C999", "99 foo 9", '"Total:" 999.9', "999.999S", "S9.9", "FMS999.99",
               "0000000000", "00.00", "FM00.00", "9999.9990", "FM9999.0099", "000,000", "FM000,000.00", "SP99", "x9y9", "FM99999999999999999999.99999", "", "eeee",
               "99.9.9", "S9S", "S9MI", "99PR9", "9.9EEEE9", "FM9EEEE", "9.9V9", "V9.9", "SPL", "MI9S", "9EEEEeeee", "0V9", "D99", "9D", "FM9D", "S", "."]
    for t, values in {"numeric": numbers + ["NaN", "Infinity", "-Infinity", "1e-7", "123456789012345678901234567890.5"], "int4": ["0", "1", "-1", "12", "-485", "1234567", "3999"],
                      "int8": ["0", "-7", "1234567890123", "485"], "float8": numbers + ["NaN", "Infinity", "-Infinity", "1e-7", "1e20"], "float4": ["0", "1.5", "-123.456", "1234567"]}.items():
        cases += pairs("call", ["to_char"], t, values, "text", formats)
    for text, fmt in [
        ("2024-02-29", "YYYY-MM-DD"), ("20240229", "YYYYMMDD"), ("29 Feb 2024", "DD Mon YYYY"), ("29 february 2024", "DD Month YYYY"), ("2024/2/9", "YYYY/MM/DD"),
        ("2024-02-30", "YYYY-MM-DD"), ("2024-13-01", "YYYY-MM-DD"), ("24-02-29", "YY-MM-DD"), ("99", "YY"), ("5", "Y"), ("520", "YYY"), ("2024 060", "YYYY DDD"), ("060", "DDD"),
        ("2024-W09-4", 'IYYY-"W"IW-ID'), ("2024 9", "IYYY IW"), ("2024 60", "IYYY IDDD"), ("2024-02 IW", "YYYY-IW"), ("2460370", "J"), ("44-03-15 BC", "YYYY-MM-DD BC"),
        ("44-03-15 b.c.", "YYYY-MM-DD B.C."), ("0044-03-15 ad", "YYYY-MM-DD AD"), ("20 24", "CC YY"), ("21", "CC"), ("21 BC", "CC BC"), ("XII 2020", "RM YYYY"), ("iv 2020", "rm YYYY"),
        ("1,999 5", "Y,YYY MM"), ("xyz", "YYYY"), ("Foo", "Mon"), ("2024", "FXYYYY-MM"), ("202", "YYYYMM"), ("20x4", "YYYYMM"), ("  2024   02  ", "YYYY MM"), ("2024-02-29", "FXYYYY-MM-DD"),
        ("2024--02", "YYYY-MM"), ("2024 - 02", "YYYY-MM"), ("12024-1-1", "YYYY-MM-DD"), ("3rd Jan 2020", "DDth Mon YYYY"), ("Thursday 2024-02-29", "Day YYYY-MM-DD"), ("thu 1", "Dy DD"),
        ("2024-02-29 extra", "YYYY-MM-DD"), ("", "YYYY"), ("2024", ""), ("2024 9", "YYYY WW"), ("2024 2 3", "YYYY MM W"), ("2024 2024", "YYYY YYYY"), ("2024 2025", "YYYY YYYY"),
        ("99999999999", "YYYY"), ("9999999-01-01", "YYYY-MM-DD"), ("2024-1-1", "YYYY-Q-DD"), ("2020TZ", "YYYYTZ")]:
        cases.append(("call", "to_date", [("text", text), ("text", fmt)]))
        cases.append(("call", "to_timestamp", [("text", text), ("text", fmt)]))
    for text, fmt in [
        ("2024-02-29 12:34:56", "YYYY-MM-DD HH24:MI:SS"), ("2024-02-29 12:34:56.789", "YYYY-MM-DD HH24:MI:SS.MS"), ("2024-02-29 12:34:56.7", "YYYY-MM-DD HH24:MI:SS.MS"),
        ("12:34:56.789012", "HH24:MI:SS.US"), ("12.3456", "SS.FF2"), ("12.34567", "SS.FF4"), ("01:30 pm", "HH:MI am"), ("12:30 a.m.", "HH12:MI P.M."), ("13:30 pm", "HH:MI AM"), ("0:30", "HH:MI"),
        ("25:00", "HH24:MI"), ("12:60", "HH24:MI"), ("3661", "SSSS"), ("86400", "SSSSS"), ("2024-02-29 12:00 +05:30", "YYYY-MM-DD HH24:MI TZH:TZM"), ("2024-02-29 12:00-08", "YYYY-MM-DD HH24:MITZH"),
        ("2024-02-29 12:00 -8", "YYYY-MM-DD HH24:MI TZH"), ("2024-02-29 +16", "YYYY-MM-DD TZH"), ("2024-02-29 OF", "YYYY-MM-DD OF"), ("2021-11-07 01:30", "YYYY-MM-DD HH24:MI"),
        ("2023-03-12 02:30", "YYYY-MM-DD HH24:MI"), ("20240229123456", "YYYYMMDDHH24MISS"), ("2024-02-29T12:34:56Z", 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ("2024-02-29T12:34:56", "YYYY-MM-DDTHH24:MI:SS"),
        ("-1", "SS"), ("+5", "SS"), ("1 2 3", "HH24 MI SS"), ("2000-06-07 12", "FXYYYY-MM-DD  HH24"), ("97/Feb/16 abc", "YY:Mon:DD"), ("1.5", "SS.FF6"), ("15h", "HH24\\"), ("05121445482000", "MMDDHH24MISSYYYY")]:
        cases.append(("call", "to_timestamp", [("text", text), ("text", fmt)]))
    for text, fmt in [
        ("12,454.8-", "99G999D9S"), ("-12,454.8", "S99G999D9"), ("1234", "9999"), ("12.34", "99.99"), ("12.345", "99.99"), ("<123>", "999PR"), ("123-", "999MI"), ("-123", "MI999"), ("+123", "PL999"),
        ("$123.45", "L999.99"), ("1st", "9th"), ("123rd", "999TH"), ("abc", "999"), ("", "999"), ("12", ""), ("123456", "999"), ("1,234,567.89", "9,999,999.99"), ("1 2", "9 9"), ("12V", "99V9"),
        ("123", "9V99"), ("12.5", "99"), ("-0.5", "9.9"), (".5-", "9.9S"), ("5.01-", "FM9.999999MI"), ("5.01-", "FM9.999999"), ("MXC", "RN"), ("1e5", "9EEEE"), ("0042", "0000"), ("x1y2", "x9y9"),
        ("123.456", "999D999"), (" 42", "999"), ("  42", "9999"), ("-42-", "99S"), ("12 -", "99S"), ("+-3", "SG9"), ("9" * 20, "9" * 20), ("0.00001", "9.99999"), ("1,000", "9G999"), ("1000", "9G999")]:
        cases.append(("call", "to_number", [("text", text), ("text", fmt)]))
    return cases


def further_cases(rng):
    cases = []
    texts = ["foobarbaz", "", "aaa", "äöü abc 123 abc", "line1\nline2"]
    patterns = ["b", "a*", "(b)(a)(.)", "[a-z]+", "^f", "x", "(", "(a)|b", "\\d+", "."]
    cases += pairs("call", ["regexp_count", "regexp_instr", "regexp_substr", "regexp_like"], "text", texts, "text", patterns)
    for t in texts:
        for p in patterns[:5]:
            base = [("text", t), ("text", p)]
            for start in ["1", "2", "5", "100", "0"]:
                cases += [("call", f, base + [("int4", start)]) for f in ["regexp_count", "regexp_instr", "regexp_substr"]]
                cases += [("call", f, base + [("int4", start), ("int4", n)]) for f in ["regexp_instr", "regexp_substr"] for n in ["1", "2", "0"]]
            cases += [("call", "regexp_count", base + [("int4", "1"), ("text", f)]) for f in ["i", "g", "n", "z"]]
            cases += [("call", "regexp_instr", base + [("int4", "1"), ("int4", "1"), ("int4", e)]) for e in ["0", "1", "2"]]
            cases += [("call", "regexp_instr", base + [("int4", "1"), ("int4", "1"), ("int4", "1"), ("text", "i"), ("int4", g)]) for g in ["0", "1", "3", "4", "-1"]]
            cases += [("call", "regexp_substr", base + [("int4", "1"), ("int4", "1"), ("text", "i"), ("int4", g)]) for g in ["0", "1", "3", "4", "-1"]]
    for p in ["a%", "%b_", "(a|b)*", "[a-c]+", "a.b", "a\\%", "%#\"o_b#\"%", "#\"%#\"", "a#\"b#\"c#\"d", "^$", "[#]]", "{x}", "ä%"]:
        for e in ["#", "\\", "", "ab"]:
            cases.append(("call", "similar_to_escape", [("text", p), ("text", e)]))
            cases.append(("call", "substring", [("text", "foobar"), ("text", p), ("text", e)]))
        cases.append(("call", "similar_to_escape", [("text", p)]))
    degrees = ["0", "30", "45", "60", "90", "120", "135", "180", "210", "270", "359", "360", "-30", "-90", "725", "1e-9", "NaN", "Infinity"]
    cases += [("call", f, [("float8", d)]) for f in ["sind", "cosd", "tand", "cotd"] for d in degrees]
    units = ["0", "0.5", "1", "-1", "-0.5", "0.3", "2", "-2", "NaN", "Infinity", "0.70710678118654752"]
    cases += [("call", f, [("float8", d)]) for f in ["asind", "acosd", "atand", "acosh", "atanh", "asinh"] for d in units]
    cases += pairs("call", ["atan2d"], "float8", units[:5], "float8", units[:5])
    for v in ["-1", "0", "3.5", "9.99", "10", "11", "NaN", "Infinity"]:
        for lo, hi in [("0", "10"), ("10", "0"), ("1", "1"), ("-1e308", "1e308"), ("0", "Infinity"), ("0.1", "0.4")]:
            cases += [("call", "width_bucket", [("float8", v), ("float8", lo), ("float8", hi), ("int4", n)]) for n in ["5", "0", "2147483647"]]
    sizes = ["0", "-1", "10239", "10240", "20479", "10485247", "10485248", "1073741824", "-10737418240", "9223372036854775807", "-9223372036854775808", "11258999068426240"]
    cases += [("call", "pg_size_pretty", [(t, v)]) for t in ["int8", "numeric"] for v in sizes]
    cases += [("call", f, [("int4", a), ("text", b), ("bool", None)]) for f in ["num_nulls", "num_nonnulls"] for a in ["1", None] for b in ["x", None]]
    for b in ["\\x", "\\x00ff80", "\\x1234567890"]:
        cases.append(("call", "bit_count", [("bytea", b)]))
        for i in ["-1", "0", "2", "3", "7", "23", "24", "100"]:
            cases += [("call", "get_byte", [("bytea", b), ("int4", i)]), ("call", "set_byte", [("bytea", b), ("int4", i), ("int4", "300")]),
                      ("call", "get_bit", [("bytea", b), ("int8", i)])]
            cases += [("call", "set_bit", [("bytea", b), ("int8", i), ("int4", v)]) for v in ["0", "1", "2"]]
    times = ["2024-02-29 12:34:56.789", "2020-01-01 00:00:00", "1999-12-31 23:59:59", "infinity", "2024-03-10 12:00:00"]
    for t in ["timestamp", "timestamptz"]:
        for stride in ["15 minutes", "1 day", "1 day 02:00:00", "1 month", "0", "-1 hour", "7 days"]:
            cases += [("call", "date_bin", [("interval", stride), (t, v), (t, o)]) for v in times for o in ["2001-01-01 00:00:00", "2030-01-01 00:07:00", "-infinity"]]
        ends = ["2020-01-01", "2020-06-01", "2021-01-01", None]
        cases += [("call", "pg_catalog.overlaps", [(t, a), (t, b), (t, c), (t, d)]) for a in ends for b in ends for c in ends for d in ends]
        for i in ["1 month", "-1 year", None]:
            cases += [("call", "pg_catalog.overlaps", [(t, a), ("interval", i), (t, c), (t, d)]) for a in ends for c in ends[:3] for d in ends[1:]]
            cases += [("call", "pg_catalog.overlaps", [(t, a), ("interval", i), (t, c), ("interval", "3 months")]) for a in ends for c in ends]
    for a in ["01:00", "23:00"]:
        for b in ["02:00", "12:00"]:
            cases.append(("call", "pg_catalog.overlaps", [("time", a), ("time", b), ("time", "02:00"), ("time", "03:00")]))
            cases.append(("call", "pg_catalog.overlaps", [("time", a), ("interval", "2 hours"), ("time", b), ("interval", "-1 hours")]))
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--user", default="postgres")
    server = Server(parser.parse_args())
    server.setup()
    OUT.mkdir(parents=True, exist_ok=True)
    rng = random.Random(15)
    write(server, "numeric.tsv", numeric_cases(rng))
    write(server, "scalar.tsv", scalar_cases(rng))
    write(server, "string.tsv", string_cases(rng))
    write(server, "datetime.tsv", datetime_cases(rng))
    write(server, "aggregate.tsv", aggregate_cases(rng))
    write(server, "formatting.tsv", formatting_cases(rng))
    write(server, "further.tsv", further_cases(rng))


if __name__ == "__main__":
    main()
