"""Time this repository's code side by side with a notebook's form of it, other libraries, and the matrix product.

    python benchmarks/run.py --workloads LSTM-20 GAN --repeats 3

Prints a table and the ratios, writes results.json and results.png. JAX takes part if it is installed
(`pip install -r benchmarks/requirements-jax.txt`).
"""

import argparse
import importlib.util
from pathlib import Path

from harness import Competitor, Crew, measure
from workloads import OTHERS, PEERS, Workload, all_workloads, peers_of, read_mnist

from dlreport.errors import run
from dlreport.io import write_json

BF16 = (("precision", "bf16"),)


def competitors(workload: Workload, bf16: bool, jax: bool) -> list[Competitor]:
    """Everyone who runs this workload, in the arrangements in which each may be at its best."""
    gan, peer = workload.kind == "GAN", PEERS.get(workload.kind)
    best = "2 threads" if gan else "x2"
    either = ["2 threads"] if gan else ["2 threads", "x2"]
    alone = [] if gan else ["1"]
    return [
        *(Competitor("ours", "ours:build", at) for at in [best, *alone]),
        *([Competitor("ours bf16", "ours:build", best, BF16)] if bf16 else []),
        *([Competitor("notebook", "notebook:build", "2 threads")] if peer else []),
        *(Competitor(peer, "peers:build", at) for at in either if peer),
        *(Competitor("torch.compile", "compiled:build", at) for at in either if peer),
        *(Competitor("JAX", "jax_peers:build", at) for at in either if peer and jax),
        *(Competitor("gemm", "peers:build_gemm", at) for at in [best, *alone]),
        *(Competitor("brgemm", "peers:build_brgemm", at) for at in ["x2", *alone]),
    ]


COLUMNS = ("ms a step", "ours", "notebook", "ratio", "nn/torch", *OTHERS, "peer ratio", "floor", "floor ratio")


def row(entry: dict) -> str:
    """The workload's line of the table, under COLUMNS."""
    own, *others = peers_of(entry)
    values = [entry["ms"], entry["notebook_ms"], entry["ratio_to_notebook"], own, *others]
    values += [entry["fastest_peer_ratio"], entry["floor_ms"], entry["floor_ratio"]]
    return f"{entry['name']:>13}" + "".join(f"{'-':>13}" if value is None else f"{value:13.3f}" for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    workloads = all_workloads()
    names = [workload.name for workload in workloads]
    parser.add_argument("--repeats", type=int, default=7, help="blocks of each competitor; the median counts")
    parser.add_argument("--block-seconds", type=float, default=0.5)
    parser.add_argument(
        "--workloads", nargs="+", choices=names, default=names, metavar="WORKLOAD", help=", ".join(names)
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results.json"))
    options = parser.parse_args()
    chosen = [workload for workload in workloads if workload.name in options.workloads]
    if any(workload.kind == "GAN" for workload in chosen):
        read_mnist()  # says at once what to do if it is not there

    import torch  # here: a JAX worker imports this file too, and shall not load torch
    from figure import bars
    from results import machine, summarise, total_ratio

    from dlreport.runtime import bf16_supported

    bf16 = bf16_supported(torch.device("cpu"))
    jax = all(importlib.util.find_spec(package) for package in ("jax", "optax"))
    if not jax:
        print("jax not installed: that column is left out")
    entries = {}
    print("".join(f"{word:>13}" for word in COLUMNS))
    for workload in chosen:
        with Crew() as crew:
            pairs = [(competitor, workload) for competitor in competitors(workload, bf16, jax)]
            times = measure(crew, pairs, options.repeats, options.block_seconds)
        entries[workload.name] = summarise(workload, {competitor: ms for (competitor, _), ms in times.items()})
        print(row(entries[workload.name]), flush=True)

    *sequences, gan = (workload for workload in workloads if workload.kind in PEERS)
    results: dict = {}
    for suffix, ours in (("", "ms"), ("_bf16", "ms_bf16")):
        results[f"total_ratio_to_notebook{suffix}"] = total_ratio(entries, [*sequences, gan], ours)
        results[f"sequence_ratio_to_notebook{suffix}"] = total_ratio(entries, sequences, ours)
        results[f"gan_ratio_to_notebook{suffix}"] = total_ratio(entries, [gan], ours)
    results["note"] = None if bf16 else "this processor has no bf16 products: bf16 is not measured"
    print("\n".join(f"{name}: {'-' if value is None else value}" for name, value in results.items()))
    results |= {"repeats": options.repeats, "block_seconds": options.block_seconds}
    results |= {"machine": machine(list(entries.values()), jax), "cells": list(entries.values())}
    write_json(options.output, results)
    bars(results).savefig(options.output.with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    run(main)
