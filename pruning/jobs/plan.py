"""`prune plan`: memory, speed and cost of scoring a corpus, before anything is rented."""

import dataclasses
from typing import Any, Literal


def plan(
    model: str,
    topology: str,
    *,
    scorer: str = "ask_llm",
    window: int = 512,
    row_length: int | None = None,
    dtype: Literal["float32", "bfloat16"] = "bfloat16",
    documents: int | None = None,
    tokens_per_document: float = 480.0,
    price: float | None = None,
    pretraining_model: str | None = None,
    pretraining_tokens: float | None = None,
    keep: float = 0.5,
) -> dict[str, Any]:
    """Says what scoring takes: memory per device, rows a second, hours and cost; recommends a mesh.

    For a TPU slice the program is compiled ahead of time, on any machine, and no parameter is
    read. Times are then a roofline: peaks of the chip, so a real run takes longer.

    Args:
      model: public size such as flan_t5_xxl or gpt_124m, or a model as `prune score` takes it.
      topology: TPU slice such as v5e:2x4 (needs the package libtpu), or `here`: measured on this machine's devices.
      scorer: that runs the model, such as ask_llm, perplexity, embedding or memorization.
      window: longest input in tokens.
      row_length: positions of a packed row's longer side; by default one window.
      dtype: of parameters and activations.
      documents: of the corpus.
      tokens_per_document: their mean length; of C4 480.
      price: of a chip, US dollars an hour.
      pretraining_model: public size that will be pretrained, to set against scoring.
      pretraining_tokens: that it will see; with both, scoring is set against the steps that pruning saves.
      keep: share of the corpus that pruning keeps, seen once instead of all of it.

    Returns:
      The figures that are printed.
    """
    from pruning.jobs.measured_step import measure_here
    from pruning.jobs.planned_scoring import maker, open_config, planned_objective, planned_scorer
    from pruning.jobs.planned_slice import plan_slice
    from pruning.jobs.scoring_model import row_shape
    from pruning.plan import documents_per_row

    if pretraining_tokens is not None and (
        None in (pretraining_model, documents) or topology == "here"
    ):
        raise ValueError(
            "--pretraining_tokens sets scoring against training: give --pretraining_model and "
            "--documents too, and a TPU slice as --topology, whose peak is known."
        )
    if not 0 < keep <= 1:
        raise ValueError(f"--keep {keep} is no share of a corpus; it is above 0 and at most 1.")
    config = dataclasses.replace(open_config(model), dtype=dtype)
    made = planned_scorer(scorer, config)
    objective = planned_objective(made, config, window)
    shape = row_shape(objective, row_length)
    lengths = (shape.encoder_length, shape.decoder_length)
    how = plan_slice if topology != "here" else measure_here
    print(f"{model} in {dtype}, {scorer}, rows of {lengths[0]} + {lengths[1]} positions")
    figures = how(config, maker(made, objective), lengths, topology)
    per_row = documents_per_row(objective, tokens_per_document)
    per_row *= max(lengths) / max(objective.lengths)
    figures["documents_per_second"] = figures["rows_per_second"] * per_row
    print(
        f"Speed: {figures['rows_per_second']:,.1f} rows a second, "
        f"{figures['documents_per_second']:,.1f} documents of {tokens_per_document:,.0f} tokens"
    )
    if documents is not None:
        figures |= _corpus(documents, figures, price)
    if pretraining_model is not None and pretraining_tokens is not None:
        figures |= _against_pretraining(
            pretraining_model, pretraining_tokens, keep=keep, figures=figures
        )
    return figures


def _corpus(documents: int, figures: dict[str, Any], price: float | None) -> dict[str, Any]:
    from pruning.plan import cost

    found = cost(documents / figures["documents_per_second"], figures["chips"], price)
    text = f"{documents:,} documents: {found.hours:,.1f} hours, {found.chip_hours:,.1f} chip-hours"
    if found.dollars is not None:
        text += f", ${found.dollars:,.2f} at ${price:,.2f} a chip-hour"
    print(text)
    return dataclasses.asdict(found)


def _against_pretraining(
    model: str, tokens: float, *, keep: float, figures: dict[str, Any]
) -> dict[str, Any]:
    from models.configs import T5Config
    from models.mesh_choice import num_parameters
    from pruning.jobs.planned_scoring import open_config
    from pruning.plan import TRAINING_UTILIZATION, cost, pretraining_flops

    config = open_config(model)
    parameters = num_parameters(config) - config.vocab_size * config.d_model
    flops = pretraining_flops(parameters, tokens, has_encoder=isinstance(config, T5Config))
    seconds = flops / (figures["peak_flops"] * TRAINING_UTILIZATION * figures["chips"])
    training = cost(seconds, figures["chips"], None).chip_hours
    scoring = figures["chip_hours"]
    print(
        f"Pretraining {model} on {tokens:,.3g} tokens: {training:,.1f} chip-hours at "
        f"{TRAINING_UTILIZATION:.0%} of the peak. Scoring is {scoring / training:.1%} of that: it "
        f"pays once pruning saves more than that share of the steps. Keeping {keep:.0%} for one "
        f"pass saves {1 - keep:.0%}, {(1 - keep) * training - scoring:,.1f} chip-hours after scoring."
    )
    return {"pretraining_chip_hours": training, "break_even_share": scoring / training}


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("plan")
