"""A run labels every sentence in order, scores repeated ones once, and counts what it sets aside."""

import pytest

from sitrep.data.records import TEXT, TITLE, Article, Labelled
from sitrep.model import job


class Keyword:
    """In place of a classifier: `hit` where the sentence has the word; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def predict(self, sentences):
        self.asked.append(list(sentences))
        return [self.one(text) for text in sentences]

    @staticmethod
    def one(text: str) -> Labelled:
        labels = ("hit",) if "hit" in text.lower() else ()
        windows = 3 if "long" in text else 1
        return Labelled(labels, labels[0] if labels else "none", {"hit": float(bool(labels))}, 0.5, "unsure" in text, windows)


class Rows(list):
    """In place of a writer."""

    def write(self, rows) -> None:
        self.extend(rows)


def run(articles, **options):
    classifier, rows, rejects = Keyword(), Rows(), []
    summary = job.label(articles, classifier, rows, rejects.append, **options)
    return classifier, rows, rejects, summary


def test_titles_and_sentences_come_out_in_order_with_their_offsets():
    articles = [
        Article("a", "Shells hit the town. Talks went on.", "A headline", "2024-05-01", {"source": "s"}),
        Article("b", "Nothing happened."),
    ]
    _, rows, rejects, summary = run(articles)
    assert [(row.sentence.doc_id, row.sentence.sentence_id, row.sentence.text) for row in rows] == [
        ("a", 0, "A headline"),
        ("a", 1, "Shells hit the town."),
        ("a", 2, "Talks went on."),
        ("b", 1, "Nothing happened."),
    ]
    for row in rows:
        article = articles[row.sentence.doc_id == "b"]
        assert getattr(article, row.sentence.part)[row.sentence.start : row.sentence.end] == row.sentence.text
        assert (row.article_date, row.extra) == (article.date, article.extra)
        assert row.labelled == Keyword.one(row.sentence.text)
    assert rejects == []
    assert (summary.articles, summary.sentences) == (2, 4)
    assert summary.primary == {"none": 3, "hit": 1}
    assert summary.seconds > 0


def test_without_splitting_each_field_is_one_sentence():
    text = "  Shells hit the town. Talks went on.\n"
    _, rows, _, _ = run([Article("a", text, " Two. Words. "), Article("b", " ", "Title only.")], split=False)
    assert [(row.sentence.sentence_id, row.sentence.part, row.sentence.text) for row in rows] == [
        (0, TITLE, "Two. Words."),
        (1, TEXT, "Shells hit the town. Talks went on."),
        (0, TITLE, "Title only."),
    ]
    assert text[rows[1].sentence.start : rows[1].sentence.end] == rows[1].sentence.text


def test_a_repeated_sentence_is_scored_once_a_block_and_written_each_time():
    classifier, rows, _, summary = run([Article(str(i), "Shells hit the town.") for i in range(5)])
    assert classifier.asked == [["Shells hit the town."]]
    assert [row.sentence.doc_id for row in rows] == list("01234")
    assert summary.primary == {"hit": 5}


def test_blocks_change_nothing_and_progress_is_told_after_each(monkeypatch):
    articles = [Article(str(i), f"Shells hit town {i}. Talks {i} went on.") for i in range(7)]
    _, whole, _, _ = run(articles)
    monkeypatch.setattr(job, "BLOCK", 4)
    told = []
    classifier, rows, _, summary = run(articles, on_progress=lambda done: told.append(done.sentences))
    assert rows == whole
    assert [len(asked) for asked in classifier.asked] == [4, 4, 4, 2]
    assert told == [4, 8, 12, 14]
    assert summary.sentences == 14


def test_articles_are_read_as_they_are_needed(monkeypatch):
    monkeypatch.setattr(job, "BLOCK", 2)
    read, seen = [], []

    def articles():
        for i in range(6):
            read.append(i)
            yield Article(str(i), f"Sentence {i} here.")

    run(articles(), on_progress=lambda done: seen.append(len(read)))
    assert seen == [2, 4, 6]


def test_what_is_no_sentence_is_set_aside_with_its_place(monkeypatch):
    monkeypatch.setattr(job, "MAX_CHARACTERS", 30)
    _, rows, [reject], summary = run([Article("a", "Short one.\n" + "x" * 40 + "\nShort two.")])
    assert [row.sentence.text for row in rows] == ["Short one.", "Short two."]
    assert (reject.where, reject.reason) == ("a characters 11-51", job.SENTENCE_TOO_LONG)
    assert "40 characters" in reject.detail
    assert summary.sentences == 2


def test_windows_and_abstentions_are_counted():
    _, _, _, summary = run([Article("a", "A long one. An unsure one. A long unsure one. A plain one.")])
    assert (summary.windowed, summary.abstained) == (2, 2)


def test_no_articles_no_rows():
    classifier, rows, _, summary = run([])
    assert (classifier.asked, rows, summary.articles, summary.sentences) == ([], [], 0, 0)


def test_an_error_in_the_input_is_not_swallowed():
    def articles():
        yield Article("a", "One.")
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="disk went away"):
        run(articles())


def test_with_the_toy_model(toy):
    rows = Rows()
    summary = job.label(
        [Article("a", "Rockets near the old market. The farmer in the old garden.")], toy, rows, lambda reject: None
    )
    assert [row.labelled.primary for row in rows] == ["strike", "none"]
    assert summary.primary == {"strike": 1, "none": 1}
