"""A report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from collections.abc import Iterator
from html import escape
from typing import Final

from holdfast.watch._report_plot import plot
from holdfast.watch.report import Report, Series, Table

__all__ = ("report_html",)

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1d2430;--soft:#5d6675;--paper:#fff;--card:#f6f7f9;--edge:#dfe3e8;
--line:#1f6feb;--critical:#b42318;--warning:#9a5b00;--note:#41618c}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa4b2;--paper:#14181f;--card:#1c222b;
--edge:#2d3542;--line:#6ea8fe;--critical:#ff8a7a;--warning:#f0b75a;--note:#9ec1f5}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1200px;padding:28px 24px 60px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:22px;margin:0 0 4px}h2{font-size:17px;margin:34px 0 10px}h3{font-size:15px;margin:0 0 6px}
code,pre,.line-of-code,td{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px}
.command{overflow-wrap:anywhere;color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:14px 0}dt{color:var(--soft)}dd{margin:0}
.finding{background:var(--card);border-left:4px solid var(--note);border-radius:4px;padding:12px 16px;margin:10px 0}
.finding.critical{border-color:var(--critical)}.finding.warning{border-color:var(--warning)}
.finding p{margin:4px 0}.finding ul{margin:6px 0 0;padding-left:20px;overflow-wrap:anywhere}
.severity{font-weight:600;color:var(--note)}.critical .severity{color:var(--critical)}
.warning .severity{color:var(--warning)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:16px}
figure{margin:0;background:var(--card);border-radius:4px;padding:12px 14px}
figcaption{color:var(--soft);font-size:13px}svg{width:100%;height:auto;display:block}
.grid{stroke:var(--edge)}.tick{fill:var(--soft);font-size:11px}.line{fill:none;stroke:var(--line);stroke-width:1.8}
.band{fill:var(--line);opacity:.18}line.limit{stroke:var(--critical);stroke-dasharray:5 4}
text.limit{fill:var(--critical);font-size:11px}
.wide{overflow-x:auto}table{border-collapse:collapse;min-width:60%}
th{text-align:left;color:var(--soft);font-weight:500;font-size:13px}
th,td{padding:4px 18px 4px 0;border-bottom:1px solid var(--edge);vertical-align:top}
pre{background:var(--card);padding:12px 14px;border-radius:4px;overflow-x:auto;max-height:480px}
"""


def report_html(report: Report) -> str:
    """Return the whole report as a page."""
    return "".join(_page(report))


def _page(report: Report) -> Iterator[str]:
    title = f"holdfast report: {report.reason}"
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
    yield f'<h1>{escape(title)}</h1><div class="command"><code>{escape(report.command)}</code></div><dl>'
    for name, value in report.facts:
        yield f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
    yield "</dl><h2>Findings</h2>"
    if not report.findings:
        yield "<p>None.</p>"
    for finding in report.findings:
        yield f'<div class="finding {finding.severity}"><p><span class="severity">{finding.severity}</span> '
        yield f"{escape(finding.what)}</p><p>{escape(finding.means)} {escape(finding.do)}</p>"
        if finding.evidence:
            yield '<ul class="line-of-code">'
            yield "".join(f"<li>{escape(each)}</li>" for each in finding.evidence)
            yield "</ul>"
        yield "</div>"
    pictures = [(series, plot(series)) for series in report.series]
    if any(picture for _, picture in pictures):
        yield '<h2>Readings</h2><div class="plots">'
        for series, picture in pictures:
            if picture:
                yield f"<figure><h3>{escape(series.name)}</h3>{picture}{_caption(series)}</figure>"
        yield "</div>"
    for table in report.tables:
        yield from _table(table)
    if report.stacks:
        yield f"<h2>Stacks</h2><pre>{escape(report.stacks)}</pre>"
    yield "</body></html>\n"


def _caption(series: Series) -> str:
    told = [f"{series.verdict}."] if series.verdict else []
    if series.limit is not None and series.source:
        told.append(f"The bound is set by: {series.source}.")
    return f"<figcaption>{escape(' '.join(told))}</figcaption>" if told else ""


def _table(table: Table) -> Iterator[str]:
    yield f'<h2>{escape(table.title)}</h2><div class="wide"><table><thead><tr>'
    yield "".join(f"<th>{escape(head)}</th>" for head in table.heads)
    yield "</tr></thead><tbody>"
    for row in table.rows:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    yield "</tbody></table></div>"
