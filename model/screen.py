"""What a person sees on the terminal: a progress bar, a table of labelled sentences, a summary."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..data.codebook import Codebook
from ..data.records import TITLE
from ..data.writers import Row, Writer
from .job import Summary

STYLES = ("red", "dark_orange3", "magenta", "blue", "green", "cyan", "yellow")


class _Rate(ProgressColumn):
    def render(self, task) -> Text:
        return Text(f"{task.fields['sentences']:,} sentences  {task.fields['rate']:,.0f}/s", style="progress.data.speed")


def progress_bar(console: Console) -> Progress:
    """A bar over the input files that also counts sentences; update it with the fields `sentences` and `rate`."""
    columns = (TextColumn("labelling"), BarColumn(), MofNCompleteColumn(), TextColumn("files "), _Rate(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=False)


class Shown:
    """A writer that passes rows on and keeps the first ones for the screen."""

    def __init__(self, writer: Writer, limit: int) -> None:
        self._writer = writer
        self._limit = limit
        self.rows: list[Row] = []
        self.total = 0

    def write(self, rows: Sequence[Row]) -> None:
        """Pass the rows on."""
        self._writer.write(rows)
        self.rows.extend(rows[: max(0, self._limit - len(self.rows))])
        self.total += len(rows)


def sentence_table(rows: Sequence[Row], codebook: Codebook) -> Table:
    """A table of sentences with their labels, primary first, coloured by group."""
    colours = {group.name: STYLES[i % len(STYLES)] for i, group in enumerate(codebook.groups)}
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("labels", width=28, no_wrap=False)
    table.add_column("conf.", justify="right")
    table.add_column("sentence", ratio=1)
    article = None
    for row in rows:
        if row.sentence.doc_id != article:
            article = row.sentence.doc_id
            table.add_row("", "", Text(f"— {article}", style="dim"))
        labels = Text()
        for label in row.labelled.labels:
            style = colours.get(codebook.group_of(label), "default")
            labels.append(("\n" if labels else "") + label, style=f"bold {style}" if label == row.labelled.primary else style)
        if not labels:
            labels.append("none", style="dim")
        text = Text(" ".join(row.sentence.text.split()), style="bold" if row.sentence.part == TITLE else "")
        confidence = Text("abstained" if row.labelled.abstained else f"{row.labelled.confidence:.2f}", style="dim")
        table.add_row(labels, confidence, text)
    return table


def summary_lines(summary: Summary, rejects: Mapping[str, int], rejects_path: str | None) -> list[str]:
    """What a run did, in a few lines."""
    rate = summary.sentences / summary.seconds if summary.seconds else 0.0
    lines = [
        f"{summary.articles:,} articles, {summary.sentences:,} sentences, {summary.seconds:.1f} s, {rate:,.0f} sentences/s",
        "primary: " + ", ".join(f"{label} {count:,}" for label, count in summary.primary.most_common()),
    ]
    if summary.windowed:
        lines.append(f"{summary.windowed:,} over-long sentences read in windows")
    if summary.abstained:
        lines.append(f"{summary.abstained:,} sentences below the minimum confidence, marked as abstained")
    if rejects:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(rejects.items(), key=lambda kv: (-kv[1], kv[0])))
        where = f"; listed in {rejects_path}" if rejects_path else ""
        lines.append(f"set aside: {sum(rejects.values()):,} ({reasons}){where}")
    return lines
