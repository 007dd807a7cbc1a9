"""What a careful user could do without a transformer: keyword rules, and TF-IDF with logistic regression."""

import re
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier

from ..data.codebook import Codebook


class KeywordRules:
    """The codebook's keyword patterns: a label is given where one of its patterns matches; the first match is primary."""

    name = "keyword rules"

    def __init__(self, codebook: Codebook) -> None:
        self.names = codebook.names
        # One alternation per label: the engine then passes over the sentence once per label.
        self._patterns = [
            re.compile("|".join(f"(?:{pattern})" for pattern in label.keywords), re.IGNORECASE) if label.keywords else None
            for label in codebook.labels
        ]
        self._main = [label.name not in codebook.secondary for label in codebook.labels]

    def predict(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(N, n) boolean labels and (N,) index of the primary label, n for none."""
        given = np.zeros((len(sentences), len(self.names)), dtype=bool)
        primary = np.full(len(sentences), len(self.names))
        for row, sentence in enumerate(sentences):
            first = []
            for i, pattern in enumerate(self._patterns):
                match = pattern.search(sentence) if pattern else None
                if match:
                    given[row, i] = True
                    first.append((not self._main[i], match.start(), i))
            if first:
                primary[row] = min(first)[2]
        return given, primary


class TfidfLogistic:
    """Word and word-pair TF-IDF, one logistic regression per label, and one against the rest per primary label.

    A label is given from one common probability on, chosen on held-out sentences: at one half, rare labels are hardly ever
    given, and the comparison would be with a straw man.
    """

    name = "TF-IDF + logistic regression"

    def __init__(self, names: Sequence[str], *, inverse_regularisation: float = 20.0, seed: int = 0) -> None:
        self.names = tuple(names)
        self.threshold = 0.5
        self._vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        settings = {"C": inverse_regularisation, "solver": "liblinear", "random_state": seed}
        self._labels = OneVsRestClassifier(LogisticRegression(**settings))
        self._primary = OneVsRestClassifier(LogisticRegression(**settings))

    def fit(self, sentences: Sequence[str], gold: np.ndarray, primary: np.ndarray) -> "TfidfLogistic":
        """Fit on (N, n) boolean labels and (N,) primary indices."""
        features = self._vectorizer.fit_transform(sentences)
        self._labels.fit(features, gold.astype(int))
        self._primary.fit(features, primary)
        return self

    def choose_threshold(self, sentences: Sequence[str], gold: np.ndarray) -> "TfidfLogistic":
        """Take the threshold of the best micro-F1 on held-out sentences."""
        probability = self._labels.predict_proba(self._vectorizer.transform(sentences))
        grid = np.arange(0.1, 0.61, 0.02)
        self.threshold = float(max(grid, key=lambda t: f1_score(gold, probability >= t, average="micro", zero_division=0.0)))
        return self

    def predict(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(N, n) boolean labels and (N,) index of the primary label, n for none."""
        features = self._vectorizer.transform(sentences)
        return self._labels.predict_proba(features) >= self.threshold, self._primary.predict(features)
