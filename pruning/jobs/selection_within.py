"""What a selection keeps of another one, as a selection."""

import os


def select_within(selection: str, within: str, output: str) -> None:
    """Writes what both keep, or takes what an earlier call wrote.

    Args:
      selection: folder; with `!` before it, what it drops.
      within: folder of a selection of the same files.
      output: folder of the new one.

    Raises:
      ValueError: they are of different files, keep nothing together, or the folder holds what
        others keep.
    """
    from pruning.documents import SourceFile
    from pruning.jobs.open_where import check_same_files
    from pruning.keep_bits import read_selection, write_selection

    inverted = selection.startswith("!")
    chosen, outer = read_selection(selection.removeprefix("!")), read_selection(within)
    made_of = {"selection": chosen.digest, "inverted": inverted, "within": outer.digest}
    if os.path.exists(output):
        found = read_selection(output).info.get("made_of")
        if found != made_of:
            raise ValueError(
                f"{output} was made of {found}, and this run has {made_of}. Give another --output, or "
                "delete the folder."
            )
        return
    files = [
        SourceFile(path=guard.path, size=guard.size, mark="", num_rows=guard.num_rows)
        for guard in outer.files.values()
    ]
    check_same_files(chosen, files, selection)
    kept = (
        (file, (chosen.keep(file.path) ^ inverted) & outer.keep(file.path), guard.row_hashes)
        for file, guard in zip(files, outer.files.values(), strict=True)
    )
    info = {"code_version": outer.info["code_version"], "made_of": made_of, "thresholds": None}
    write_selection(output, files=kept, source=outer.source, info=info)
