"""`prune report`: scores and selections to look at."""

from collections.abc import Sequence


def report(scores: Sequence[str], output: str, selection: Sequence[str] = ()) -> None:
    """Writes a report: one HTML file that needs nothing else.

    Args:
      scores: folders of score stores of one source, finished or not.
      output: the file.
      selection: folders of selections to draw into the scores that they were made from.
    """
    from etils import epath

    from pruning.keep_bits import read_selection
    from pruning.publishing import publish_bytes
    from pruning.report import build_report
    from pruning.score_store import open_store
    from pruning.selecting import manifest_digest

    stores = [open_store(folder) for folder in scores]
    selections = [read_selection(folder) for folder in selection]
    drawn = {manifest_digest(store) for store in stores}
    for chosen in selections:
        made_from = {store["manifest"]: store["path"] for store in chosen.info["stores"]}
        if drawn.isdisjoint(made_from):
            print(
                f"{chosen.folder} was made from {', '.join(made_from.values())}, which is not among "
                "--scores: the report has its books and no cut."
            )
    read_text = _text_reader(stores[0].manifest["source"]) if stores else None
    page = build_report(stores, selections, read_text)
    target = epath.Path(output)
    target.parent.mkdir(parents=True, exist_ok=True)
    publish_bytes(target, page.encode("utf-8"))
    print(output)


def _text_reader(source):
    from pruning.jobs.open_source import open_source

    try:
        opened = open_source(**source)
    except (OSError, ValueError, ImportError) as error:
        print(f"The report shows no texts, for the corpus cannot be opened: {error}")
        return None

    def read_text(file: str, row: int) -> bytes | None:
        try:
            (document,) = opened.read(file, row, 1)
        except (OSError, ValueError):
            return None  # the file is shorter now, or gone
        return document.text

    return read_text


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("report")
