"""Choose, from many candidate prompts, few that are unlike each other: SPEED-Bench's way to a diverse category."""

from pytest_speedbench.curation.curate import CuratedCategory, Curation, curate
from pytest_speedbench.curation.embeddings import Embeddings, open_embeddings
from pytest_speedbench.curation.models import embed, tfidf

__all__ = ["CuratedCategory", "Curation", "Embeddings", "curate", "embed", "open_embeddings", "tfidf"]
