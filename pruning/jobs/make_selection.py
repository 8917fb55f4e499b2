"""`prune select`: from scores to keep bits."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal


def select(
    scores: Sequence[str],
    output: str,
    *,
    keep: Literal["low", "middle", "high", "random", "threshold", "sample"],
    score: str | None = None,
    fraction: float | None = None,
    documents: int | None = None,
    tokens: int | None = None,
    min_score: float | None = None,
    max_score: float | None = None,
    weights: Literal["inverse", "proportional", "softmax"] | None = None,
    temperature: float | None = None,
    seed: int = 0,
    per: str | None = None,
    quota: Sequence[str] | None = None,
    where: str | None = None,
    by: Sequence[str] | None = None,
    partial: bool = False,
    training_tokens: int | None = None,
    together: bool = False,
    unit: Literal["documents", "tokens"] = "documents",
    rates: Sequence[str] | None = None,
) -> str:
    """Decides which documents stay, and writes the selection.

    Args:
      scores: folder of a score store, or several of one source as NAME=DIR; with --together, one
        of each source.
      output: folder of the selection; must not exist.
      keep: the low, middle or high part by score, a random part, all within a threshold, or a
        sample drawn by weights.
      score: column to rank by, or an expression such as 'log_p_yes - log_p_no' (--score=-nll where
        it begins with a minus) or 'rank(ask.log_p_yes) - rank(ppl.nll)'; by default the only
        store's main column.
      fraction: of the scored documents to keep.
      documents: how many to keep, instead of a fraction.
      tokens: how many to keep at most, instead of a fraction.
      min_score: lowest score kept by threshold.
      max_score: highest score kept by threshold.
      weights: of a sample: a chance as 1 / score, as the score, or as exp(score / temperature).
      temperature: of softmax weights; by default 1.
      seed: breaks ties and draws.
      per: field or column; the rule, with its whole budget, within each of its values.
      quota: shares of what stays by value of --per, such as web=0.5 code=0.2; the values not named
        share what is left.
      where: folder of a selection: rank only what it keeps; with ! before it, what it drops.
      by: carried fields to keep books by; by default domain and --per, if the stores have them.
      partial: take stores that are not finished.
      training_tokens: tokens that a run will train on: says how many epochs that is.
      together: one threshold for the stores of several sources, such as the tasks of a mixture: a
        selection for each, below --output and under its name.
      unit: with --together: what the fraction counts.
      rates: with --together: mixing rates, such as web=2 books=1, by which each source counts in
        place of its size.

    Returns:
      The folder.

    Raises:
      ValueError: parameters that do not go together, or as of `pruning.selecting.select`.
    """
    from pruning.budgets import parse_quota
    from pruning.jobs.open_where import open_where
    from pruning.jobs.selecting_together import select_together
    from pruning.score_store import open_store
    from pruning.selecting import select as write
    from pruning.selection import Rule
    from pruning.several_stores import parse_stores

    rule = Rule(
        keep=keep,
        fraction=fraction,
        documents=documents,
        tokens=tokens,
        min_score=min_score,
        max_score=max_score,
        weights=weights,
        temperature=temperature,
        seed=seed,
        per=per,
        quota=parse_quota(quota) if quota else None,
    )
    scores = [scores] if isinstance(scores, str) else scores
    if together:
        plain = fraction and Rule(keep=keep, fraction=fraction, seed=seed)
        if rule != plain or where or by or partial or training_tokens:
            raise ValueError(
                "--together keeps the low, middle or high part of all sources by --fraction, and "
                "takes --score, --unit and --rates. The other flags are for one source."
            )
        select_together(scores, output, rule=rule, score=score, unit=unit, rates=rates)
        return os.fspath(output)
    if rates or unit != "documents":
        raise ValueError("--unit and --rates go with --together. Of one source: --tokens, --quota.")
    folders = parse_stores(scores)
    stores = {name: open_store(folder) for name, folder in folders.items()}
    files = next(iter(stores.values())).files.values()
    selection = write(
        stores,
        output,
        rule=rule,
        score=score,
        by=None if by is None else list(by),
        partial=partial,
        where=open_where(where, list(files)),
        training_tokens=training_tokens,
    )
    print(summary(selection))
    return os.fspath(output)


def summary(selection) -> str:
    """The books of a selection as text: totals, what was dropped and why, and by group."""
    from pruning.training_plan import plan_sentence

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
    if info["plan"] is not None:
        lines.append(f"  {plan_sentence(info['plan'])}")
    for field, groups in info["groups"].items():
        lines += composition(field, groups)
    return "\n".join(lines)


def composition(field: str, groups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Documents and shares of each group before and after, as the lines of a table."""
    width = max(len(field), *(len(name) for name in groups)) if groups else len(field)
    lines = [
        f"\n  {field:<{width}}  {'documents':>10}  {'share':>6}  {'kept':>10}  {'share':>6}  {'rate':>6}"
    ]
    documents, kept = (sum(g[k] for g in groups.values()) for k in ("documents", "kept"))
    for name, g in groups.items():
        if not g["documents"]:
            continue
        lines.append(
            f"  {name:<{width}}  {g['documents']:>10,}  {g['documents'] / max(documents, 1):>6.1%}  "
            f"{g['kept']:>10,}  {g['kept'] / max(kept, 1):>6.1%}  {g['kept'] / max(g['documents'], 1):>6.1%}"
        )
    return lines


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("select")
