"""The loss of every token of single documents, as the scoring loop computes it."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pruning.documents import DocumentId, Source, Unit
from pruning.score_store import ScoreStore
from pruning.token_losses import TokenLoss, predict, token_losses


class DocumentLosses(NamedTuple):
    """One document.

    Attributes:
      tokens: of its text, in order.
      nll: nats of every target, with those that are no text: their mean is the score `nll`.
    """

    tokens: list[TokenLoss]
    nll: list[float]


def losses_of_documents(
    stores: Iterable[ScoreStore], source: Source, model: Sequence[str], vocabulary: str | None
) -> Callable[[DocumentId], DocumentLosses]:
    """Opens a model with the settings of a store that has losses, or with their defaults.

    Args:
      stores: the first whose model predicted documents gives objective, window and dtype.
      source: of the documents.
      model: as `prune score` takes it.
      vocabulary: by default the one beside the model, else that of the store.

    Returns:
      A function of a document's id. A document that cannot be scored has no tokens.
    """
    from pruning.jobs import scoring_model
    from pruning.prepared_units import Preparation, prepare
    from pruning.scorers import make_scorers
    from pruning.text_objectives import OBJECTIVES

    manifests = [store.manifest for store in stores]
    predicted = [m for m in manifests if m.get("objective", {}).get("name") in OBJECTIVES]
    settings = predicted[0] if predicted else {}
    goal = settings.get("objective", {})
    opened = scoring_model.open_scoring_model(
        [model] if isinstance(model, str) else list(model),
        make_scorers(["perplexity"]),
        vocabulary=vocabulary or settings.get("vocabulary", {}).get("name"),
        objective=goal.get("name"),
        question=None,
        window=goal.get("window"),
        long_documents=goal.get("long_documents", "windows"),
        row_length=None,
        batch_rows=settings.get("batch_rows"),
        dtype=settings.get("dtype", "float32"),
    )
    scored_with = settings.get("model", {})
    if scored_with.get("digest") not in (None, opened.digest):
        print(
            f"The losses are those of {opened.name} (digest {opened.digest[:12]}); the scores are of "
            f"{scored_with['name']} ({scored_with['digest'][:12]})."
        )
    limit = settings.get("max_document_bytes", 1_000_000)
    how = opened.prepare_with(Preparation(source=source, max_document_bytes=limit))

    def of_document(id_: DocumentId) -> DocumentLosses:
        prepared = prepare(Unit(id_.file, id_.row, 1), how)
        if prepared.packed is None or not len(prepared.scorable):
            return DocumentLosses([], [])
        windows = predict(prepared.packed, opened.token_statistics, opened.batch_rows)
        tokens = token_losses(windows, opened.vocabulary)
        return DocumentLosses(tokens, [nll for w in windows for nll in w.nll.tolist()])

    return of_document
