"""Sentences in, calibrated labels out.

>>> from sitrep.model import load
>>> [record] = load().predict(["Six cruise missiles slammed into the depot overnight."])
>>> record.primary
'missile_strike'
"""

from .classifier import Classifier, load

__all__ = ["Classifier", "load"]
