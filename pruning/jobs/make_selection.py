"""`prune select`: from scores to keep bits."""

import os
from collections.abc import Sequence
from typing import Literal


def select(
    scores: str,
    output: str,
    *,
    keep: Literal["low", "middle", "high", "random", "threshold"],
    score: str | None = None,
    fraction: float | None = None,
    min_score: float | None = None,
    max_score: float | None = None,
    seed: int = 0,
    by: Sequence[str] | None = None,
    partial: bool = False,
) -> str:
    """Decides which documents stay, and writes the selection.

    Args:
      scores: folder of a score store.
      output: folder of the selection; must not exist.
      keep: the low, middle or high part by score, a random part, or all within a threshold.
      score: column to rank by, or an expression such as 'log_p_yes - log_p_no' (--score=-nll where it begins with a minus); by default the
        store's main column.
      fraction: of the scored documents, for all but threshold.
      min_score: lowest score kept by threshold.
      max_score: highest score kept by threshold.
      seed: breaks ties and draws.
      by: carried fields to keep books by; by default domain, if the store has it.
      partial: take a store that is not finished.

    Returns:
      The folder.
    """
    from pruning.score_store import open_store
    from pruning.selecting import select as write
    from pruning.selection import Rule

    rule = Rule(keep=keep, fraction=fraction, min_score=min_score, max_score=max_score, seed=seed)
    by = None if by is None else list(by)
    selection = write(open_store(scores), output, rule=rule, score=score, by=by, partial=partial)
    print(summary(selection))
    return os.fspath(output)


def summary(selection) -> str:
    """The books of a selection as text: totals, what was dropped and why, and by group."""
    info = selection.info
    counts = info["counts"]
    tokens = (
        f", {counts['kept_tokens']:,} of {counts['tokens']:,} tokens" if counts["tokens"] else ""
    )
    lines = [
        f"{selection.folder}: kept {counts['kept']:,} of {counts['scored']:,} scored documents{tokens}."
    ]
    if info["thresholds"] is not None:
        ends = ["any" if end is None else f"{end:.6g}" for end in info["thresholds"]]
        lines.append(f"  {info['score']} from {ends[0]} to {ends[1]}")
    for reason, n in counts["dropped"].items():
        tokens = counts["dropped_tokens"][reason]
        lines.append(f"  {n:,} dropped: {reason}" + (f" ({tokens:,} tokens)" if tokens else ""))
    for field, groups in info["groups"].items():
        width = max(len(field), *(len(name) for name in groups)) if groups else len(field)
        lines.append(
            f"\n  {field:<{width}}  {'documents':>10}  {'share':>6}  {'kept':>10}  {'share':>6}  {'rate':>6}"
        )
        documents, kept = (sum(g[k] for g in groups.values()) for k in ("documents", "kept"))
        for name, g in groups.items():
            if not g["documents"]:
                continue
            lines.append(
                f"  {name:<{width}}  {g['documents']:>10,}  {g['documents'] / max(documents, 1):>6.1%}  "
                f"{g['kept']:>10,}  {g['kept'] / max(kept, 1):>6.1%}  {g['kept'] / max(g['documents'], 1):>6.1%}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("select")
