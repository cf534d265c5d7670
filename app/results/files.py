"""A report as files: one HTML page that opens from disk, and Markdown with its figures and tables beside it.

files(tell, report, "http://127.0.0.1:8000")  # {"report.html": b"…", "report.md": b"…", "figures/arms.svg": b"…", …}
"""

import re
from dataclasses import dataclass

from markupsafe import Markup

from app.computing import Report as Tell
from app.export import csv_lines
from app.render import environment, static_directory, template_variables
from app.results.figures import Picture, data_address, picture
from app.results.markdown import markdown
from app.results.records import Report, Table
from app.results.words import Shown, cells, columns, shown_rows

SHEETS = ("css/tokens.css", "css/base.css", "css/admin.css", "css/results.css")
Files = dict[str, bytes]


@dataclass(frozen=True)
class ReportFile:
    """What templates/results/report.html is given. `saves`: by chart, what it can be kept as and its address."""

    report: Report
    rows: dict[str, tuple[tuple[Shown, ...], ...]]
    figures: dict[str, Markup]
    saves: dict[str, tuple[tuple[str, str, str], ...]]
    data: dict[str, str]  # by table: its CSV, as an address
    style: str
    base: str


def files(tell: Tell, report: Report, base: str) -> Files:
    """Every file by its path. `base`: the address of the server whose feature pages the points lead to."""
    charts = list(report.charts())
    pictures: dict[str, Picture] = {}
    for number, chart in enumerate(charts):
        tell("Drawing the figures", number / len(charts))
        pictures[chart.name] = picture(chart, base)
    tables = {table.name: csv(table) for table in report.tables()}
    found: Files = {"report.html": html(report, pictures, tables, base).encode()}
    found["report.md"] = markdown(report, base).encode()
    for name, made in pictures.items():
        found |= {f"figures/{name}.svg": made.svg.encode(), f"figures/{name}.png": made.png}
    return found | {f"data/{name}.csv": content for name, content in tables.items()}


def csv(table: Table) -> bytes:
    return "".join(csv_lines(cells(table), columns(table))).encode()


def html(report: Report, pictures: dict[str, Picture], tables: dict[str, bytes], base: str) -> str:
    """The page: styles, fonts, figures and tables are all in it."""
    page = ReportFile(
        report=report,
        rows={table.name: tuple(shown_rows(table)) for table in report.tables()},
        figures={name: made.themed for name, made in pictures.items()},
        saves={
            name: (
                ("SVG", f"{report.study}-{name}.svg", data_address("image/svg+xml", made.svg.encode())),
                ("PNG", f"{report.study}-{name}.png", data_address("image/png", made.png)),
            )
            for name, made in pictures.items()
        },
        data={name: data_address("text/csv", content) for name, content in tables.items()},
        style=data_address("text/css", styles().encode()),
        base=base,
    )
    return environment().get_template("results/report.html").render(template_variables(page))


def styles() -> str:
    """The style sheets as one, with the fonts in it."""
    text = "\n".join((static_directory() / sheet).read_text("utf-8") for sheet in SHEETS)

    def within(match: re.Match[str]) -> str:
        font = (static_directory() / "css" / match[1]).resolve().read_bytes()
        return f'url("{data_address("font/woff2", font)}")'

    return re.sub(r'url\("(\.\./vendor/[^"]+)"\)', within, text)
