"""A document as text: a table of columns, and notes. Documents are plain data; --format json prints them as they are."""

import json


def show(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def table(titles, lines, left=1):
    """Columns as wide as needed, the first `left` of them aligned left, the others right."""
    lines = [tuple(titles), *(tuple(str(cell) for cell in line) for line in lines)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(titles))]
    return "\n".join("  ".join(cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))).rstrip()
                     for line in lines)


def _milliseconds(side):
    values = [side["latency_us"][p] for p in ("p50", "p95", "p99")]
    return "-" if None in values else "/".join(show(v / 1000, 2) for v in values)


def _pair_lines(document):
    ours, peer = document["sides"]
    for r in document["results"]:
        a, b = r[ours], r[peer]
        yield (*r["cell"].values(), show(a["rate"]) + ("" if a["clean"] else " !"), show(b["rate"]) + ("" if b["clean"] else " !"),
               show(r["ratio"]["of_medians"], 2), f"{show(r['ratio']['min'], 2)}–{show(r['ratio']['max'], 2)}",
               _milliseconds(a), _milliseconds(b), show(a["cpu_us"], 1), show(b["cpu_us"], 1),
               show(a["syncs_per_transaction"], 2), show(b["syncs_per_transaction"], 2))


def pairs_text(document):
    """Of a comparison in pairs."""
    if not document["results"]:
        return "nothing was measured"
    peer, unit, work = document["sides"][1], document["unit"], document["work"]
    cell = list(document["results"][0]["cell"])
    titles = (*cell, f"ours {unit}", f"{peer} {unit}", "ratio", "spread", "ours p50/p95/p99 ms", f"{peer} p50/p95/p99 ms",
              "ours cpu", f"{peer} cpu", "ours syncs", f"{peer} syncs")
    notes = [f"{unit}: medians of {document['pairs']} measurements; ratio: ours / {peer}, spread over the pairs; "
             f"cpu: µs of all server processes a {work}; syncs: of the log, a {document.get('sync_unit', 'transaction')}."]
    if not all(r[side]["clean"] for r in document["results"] for side in document["sides"]):
        notes.append("!: transactions failed or clients gave up; the number means little.")
    if document.get("noise"):
        notes.append("Both sides are PostgreSQL: any ratio but 1 is chance.")
    for side in document["sides"]:
        checked = document[side]["durability_check"]
        notes.append(f"{side}: {document[side]['version']}; {document[side]['durability']}; {checked['transactions']} transactions of one "
                     f"client made {checked['syncs']:.0f} syncs")
    return table(titles, _pair_lines(document), left=1) + "\n\n" + "\n".join(notes + document.get("notes", []))


def rows_text(document):
    """Of a benchmark that is no comparison of rates: `columns` are the titles, each result a row of ready values."""
    lines = [[show(v, 2) if isinstance(v, float) else "-" if v is None else v for v in (r.get(c) for c in document["columns"])]
             for r in document["results"]]
    return table(document["columns"], lines) + "\n\n" + "\n".join(document.get("notes", []))


def text(document):
    return pairs_text(document) if "sides" in document else rows_text(document)


def render(document, form):
    return json.dumps(document, indent=2, ensure_ascii=False) if form == "json" else text(document)
