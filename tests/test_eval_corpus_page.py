"""The HTML page of a labelling run: one file, complete counts, hostile text as text, clear refusals, and a browser's view."""

import json
import re
import shutil
import subprocess
from datetime import date
from html import unescape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sitrep.data.codebook import Codebook, Group, Label
from sitrep.data.errors import InputError
from sitrep.eval import corpus_counts
from sitrep.eval.corpus_page import REQUIRED, write_corpus_page
from sitrep.eval.timeline import bar_starts, read_day

BOOK = Codebook(
    "weather",
    (Label("heavy_rain", "sky"), Label("hail", "sky"), Label("rock_slide", "soil"), Label("drought", "soil")),
    groups=(Group("sky", "From the sky"), Group("soil")),
)
HOSTILE = "</script><img src=x onerror=alert(1)> <!-- &amp; \u2028 it rained"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the path to look at the page")


def sentence(doc: str, number: int, text: str, *labels: str, start: int = 0, **other: object) -> dict[str, object]:
    scores = {name: 0.9 - 0.1 * labels.index(name) if name in labels else 0.01 for name in BOOK.names}
    return {
        "doc_id": doc,
        "sentence_id": number,
        "part": "text" if number else "title",
        "start": start,
        "end": start + len(text),
        "text": text,
        "labels": list(labels),
        "primary": labels[0] if labels else "none",
        "confidence": 0.8,
        "scores": scores,
        "abstained": False,
        "windows": 1,
        "date": "2024-03-05",
        "source": "Valley Post",
        **other,
    }


ROWS = [
    sentence("a", 0, "Village cut off", "rock_slide"),
    sentence("a", 1, "Hail followed the rain.", "hail", "heavy_rain"),
    sentence("a", 2, "Cows were calm.", start=24),
    sentence("a", 3, HOSTILE, "heavy_rain", start=42, abstained=True),
    sentence("b", 1, "Rain again at dusk.", "heavy_rain", date="2024-03-07", source="Ridge & Sons"),
]


def parquet(path: Path, rows: list[dict[str, object]], drop: tuple[str, ...] = ()) -> Path:
    scores = pa.struct([(name, pa.float32()) for name in BOOK.names])
    types = {"sentence_id": pa.int32(), "start": pa.int32(), "end": pa.int32(), "windows": pa.int32()}
    types |= {"labels": pa.list_(pa.string()), "scores": scores, "confidence": pa.float32(), "abstained": pa.bool_()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in ROWS[0] if name not in drop])
    kept = [{name: value for name, value in row.items() if name not in drop} for row in rows]
    pq.write_table(pa.Table.from_pylist(kept, schema=schema), path)
    return path


def page(tmp_path: Path, rows: list[dict[str, object]] = ROWS, drop: tuple[str, ...] = (), **options: str) -> str:
    out = tmp_path / "page.html"
    write_corpus_page(parquet(tmp_path / "labels.parquet", rows, drop), out, codebook=BOOK, **options)
    return out.read_text(encoding="utf-8")


def embedded(html: str) -> dict[str, list]:
    return json.loads(re.search(r'<script type="application/json" id="corpus">(.*?)</script>', html, re.S)[1])


def visible(html: str) -> str:
    body = re.sub(r"<(script|style).*?</\1>", " ", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_page_is_one_file_that_loads_nothing(tmp_path):
    html = page(tmp_path)
    assert not re.search(r"https?://", html)
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:,)""", html)
    assert not re.search(r"@import|url\(", html)
    assert "default-src 'none'" in html
    assert sorted(each.name for each in tmp_path.iterdir()) == ["labels.parquet", "page.html"]


def test_counts_and_labels_appear(tmp_path):
    text = visible(page(tmp_path, title="A wet week"))
    assert "A wet week" in text
    assert "80% of the sentences report an event, most often heavy rain (3), " in text
    assert "Articles 2 Sentences 5 With an event 4 Event types seen 3 of 4 Sources 2 Model abstained 1" in text
    assert "From the sky heavy rain 3 " in text
    assert " 5 Mar peak 2 7 Mar hail 1 " in text
    assert "Valley Post 1 4 75%" in text
    assert "Ridge & Sons 1 1 100%" in text
    assert "Soil rock slide 1" in text


def test_a_label_that_does_not_occur_has_no_chart(tmp_path):
    html = page(tmp_path)
    assert html.count("<figure>") == 3
    assert "drought" not in visible(html)


def test_bars_stand_on_their_days(tmp_path):
    charts = dict(re.findall(r'role="img" aria-label="([^":]*): [^"]*">(.*?)</svg>', page(tmp_path), re.S))
    bars = re.findall(r'<rect x="([\d.]+)"[^>]* height="([\d.]+)"><title>(.*?)</title>', charts["heavy rain"])
    assert [(float(height), unescape(title).replace("\u00a0", " ")) for _, height, title in bars] == [
        (100.0, "2 on 5 March 2024"),
        (50.0, "1 on 7 March 2024"),
    ]
    assert float(bars[1][0]) == pytest.approx(2 * 1000 / 12, abs=0.01)  # third of three days, in a chart of at least twelve


def test_hostile_text_stays_text(tmp_path):
    rows = [*ROWS, sentence('"><svg onload=alert(2)>', 1, "Dry.", "hail", source="<b>S</b>", date="<i>d</i>")]
    html = page(tmp_path, rows, title="<u>T</u>")
    assert not re.search(r"<(img|svg onload|b>S|i>d|u>)", html)
    assert html.count("</script>") == 2
    docs = embedded(html)["docs"]
    assert docs[0][3][3][1] == HOSTILE
    assert docs[2][:3] == ['"><svg onload=alert(2)>', "<i>d</i>", "<b>S</b>"]
    assert HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in html  # quoted among the clearest


def test_articles_keep_order_labels_and_paragraphs(tmp_path):
    data = embedded(page(tmp_path, [ROWS[3], ROWS[1], ROWS[0], ROWS[2], ROWS[4]]))
    assert data["labels"] == [["heavy rain", 0], ["hail", 0], ["rock slide", 1], ["drought", 1]]
    first, second = data["docs"]
    title, paragraph, space = corpus_counts.JOIN_TITLE, corpus_counts.JOIN_PARAGRAPH, corpus_counts.JOIN_SPACE
    assert [s[0] for s in first[3]] == [title, paragraph, space, paragraph]
    assert [s[2] for s in first[3]] == [[2], [1, 0], [], [0]]
    assert [s[4] for s in first[3]] == [0, 0, 0, 1]
    assert first[3][1][5] == [1, 0.9, 0, 0.8]  # scores, likeliest first, the unlikely ones left out
    assert second[:3] == ["b", "2024-03-07", "Ridge & Sons"]


def test_clearest_sentences_are_the_surest_and_not_repeated(tmp_path):
    rows = [sentence(f"d{i}", 1, f"Hail number {i // 2}.", "hail", scores={"hail": 0.5 + 0.01 * i}) for i in range(20)]
    html = page(tmp_path, rows)
    quoted = re.findall(r"<li>(Hail number \d\.)", html)
    assert quoted == [f"Hail number {i}." for i in (9, 8, 7, 6, 5)]


@pytest.mark.parametrize(
    "gone", [{"drop": ("date", "source", "windows")}, {"rows": [r | {"date": "", "source": None} for r in ROWS]}]
)
def test_works_without_dates_and_sources(tmp_path, gone):
    text = visible(page(tmp_path, **gone))
    assert "Events by type" in text
    assert "No sentence has a readable date" in text
    assert "By source" not in text


def test_works_without_sentences_and_without_groups(tmp_path):
    assert "The file holds no sentences." in visible(page(tmp_path, []))
    plain = Codebook.from_names(BOOK.names)
    write_corpus_page(parquet(tmp_path / "l.parquet", ROWS), tmp_path / "new" / "p.html", codebook=plain)
    assert "Event types heavy rain 3" in visible((tmp_path / "new" / "p.html").read_text(encoding="utf-8"))


def test_works_where_nothing_happened(tmp_path):
    text = visible(page(tmp_path, [ROWS[2]]))
    assert "None of its sentences reports an event. Those with a date are of 5 March 2024." in text
    assert "Events per" not in text
    assert "Valley Post 1 1 0%" in text


def test_nan_and_null_scores_are_left_out(tmp_path):
    nan = float("nan")
    rows = [
        ROWS[1] | {"confidence": nan, "scores": dict.fromkeys(BOOK.names, nan)},
        ROWS[2] | {"confidence": None, "scores": None},
    ]
    sentences = embedded(page(tmp_path, rows))["docs"][0][3]
    assert [s[3] for s in sentences] == [None, None]
    assert [s[5] for s in sentences] == [[], []]


def test_beyond_the_limit_articles_are_counted_but_not_embedded(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_counts, "EMBEDDED", 3)
    html = page(tmp_path)
    assert [doc[0] for doc in embedded(html)["docs"]] == ["a"]
    assert len(embedded(html)["docs"][0][3]) == 4  # never half an article
    assert "the first 1 of 2 articles" in visible(html)
    assert "Sentences 5" in visible(html)


@pytest.mark.parametrize("column", REQUIRED)
def test_missing_column_is_refused_by_name(tmp_path, column):
    path = parquet(tmp_path / "labels.parquet", ROWS, drop=(column,))
    with pytest.raises(InputError, match=f"labels.parquet: lacks {column};") as caught:
        write_corpus_page(path, tmp_path / "page.html", codebook=BOOK)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "page.html").exists()


def test_wrong_files_are_refused(tmp_path):
    text = tmp_path / "labels.txt"
    text.write_text("not parquet at all")
    for path, complaint in ((tmp_path / "no.parquet", "no such file"), (tmp_path, "is a folder"), (text, "not a Parquet file")):
        with pytest.raises(InputError, match=complaint) as caught:
            write_corpus_page(path, tmp_path / "page.html", codebook=BOOK)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_label_outside_the_codebook_is_refused(tmp_path):
    path = parquet(tmp_path / "labels.parquet", ROWS)
    with pytest.raises(InputError, match=r"sentence a/1 has the label 'hail'.*codebook 'half' lacks"):
        write_corpus_page(path, tmp_path / "page.html", codebook=Codebook.from_names(["heavy_rain", "rock_slide"], "half"))


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2024-03-05", date(2024, 3, 5)),
        ("2024-03-05T23:59:00Z", date(2024, 3, 5)),
        ("20240305", date(2024, 3, 5)),
        ("20240305101500", date(2024, 3, 5)),
        ("2024/03/05 10:00", date(2024, 3, 5)),
        ("March 5, 2024", date(2024, 3, 5)),
        ("5 Mar 2024", date(2024, 3, 5)),
        ("Tue, 05 Mar 2024 10:00:00 GMT", date(2024, 3, 5)),
        (date(2024, 3, 5), date(2024, 3, 5)),
        ("2024-13-05", None),
        ("1711411200", None),
        ("spring", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_read_as_written(written, day):
    assert read_day(written) == day


@pytest.mark.parametrize(
    ("last", "unit", "count"),
    [
        (date(2020, 1, 31), "day", 31),
        (date(2020, 12, 31), "week", 53),
        (date(2024, 2, 1), "month", 50),
        (date(2049, 6, 1), "year", 30),
        (date(9999, 12, 31), "year", 7980),
    ],
)
def test_long_spans_get_wider_bars(last, unit, count):
    found, starts = bar_starts([date(2020, 1, 1), last])
    assert (found, len(starts)) == (unit, count)
    assert starts == sorted(set(starts))


def browse(html: str, folder: Path, script: str = "") -> tuple[str, list[str]]:
    """The page's DOM after it ran in Chromium, `script` included, and the lines it logged."""
    file = folder / "shown.html"
    file.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    quiet = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    quiet += " --disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=4000 --dump-dom"
    command = [CHROMIUM, *quiet.split(), f"--user-data-dir={folder / 'profile'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, re.findall(r'CONSOLE:\d+\] "(.*)", source:', done.stderr)


@needs_chromium
def test_browser_shows_the_articles_without_errors(tmp_path):
    dom, logged = browse(page(tmp_path), tmp_path)
    assert logged == []
    shown = re.search(r'<div id="list">(.*?)<div class="pager"', dom, re.S)[1]
    assert shown.count("<article ") == 2
    assert "Hail followed the rain." in shown
    assert re.search(r'class="tags"[^>]*aria-label="hail, heavy rain"', shown)
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "<img" not in dom
    assert "5 sentences in 2 articles." in dom


@needs_chromium
def test_browser_searches_filters_and_explains(tmp_path):
    rows = [sentence(f"d{i}", 1, f"Hail fell on field {i}.", "hail") for i in range(120)]
    script = """
      const say = () => console.log(status.textContent + ' ' + document.querySelectorAll('article').length + ' ' +
        where.textContent + ' ' + location.hash), status = document.getElementById('status'), where = document.getElementById('where');
      const form = document.getElementById('filter'), q = document.getElementById('q'), pick = document.getElementById('label');
      const go = () => { form.dispatchEvent(new Event('submit', { cancelable: true })); say(); };
      say();
      document.getElementById('next').click(); document.getElementById('next').click(); say();
      q.value = 'FIELD  11'; go();
      q.value = 'a.c('; go();
      q.value = ''; pick.value = 'none'; go();
      pick.value = '0'; go();
      pick.value = '1'; go();
      document.querySelector('.tags').focus();
      console.log(document.getElementById('tip').innerText.replace(/\\s+/g, ' '));
    """
    _, logged = browse(page(tmp_path, [*rows, ROWS[4]]), tmp_path, script)
    assert logged == [
        "121 sentences in 121 articles. 50 Page 1 of 3 ",
        "121 sentences in 121 articles. 21 Page 3 of 3 ",
        "11 sentences in 11 articles. 11 Page 1 of 1 #q=FIELD++11",
        "Nothing matches; try other words or another type. 0 Page 1 of 1 #q=a.c%28",
        "Nothing matches; try other words or another type. 0 Page 1 of 1 #label=none",
        "1 sentence in 1 article. 1 Page 1 of 1 #label=0",
        "120 sentences in 120 articles. 50 Page 1 of 3 #label=1",
        "Confidence 0.80 hail 0.90",
    ]
