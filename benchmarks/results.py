"""From measured times to the entries and ratios of results.json. None stands for what was not measured."""

import importlib.metadata
from statistics import median

import torch
from harness import Competitor, cores
from peers import SIZES
from workloads import OTHERS, PEERS, Workload, flops

from dlreport.machine import cpu_name


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    return round(numerator / denominator, 4) if numerator and denominator else None


def summarise(workload: Workload, measured: dict[Competitor, float]) -> dict:
    """The workload's entry in results.json, from ms a step by competitor."""
    best = "2 threads" if workload.kind == "GAN" else "x2"
    ms = {str(competitor): value for competitor, value in measured.items()}
    ours, notebook = ms.get(f"ours {best}"), ms.get("notebook 2 threads")
    peers: dict[str, float] = {}
    for competitor, value in measured.items():
        if competitor.name in (PEERS.get(workload.kind), *OTHERS):
            peers[competitor.name] = min(value, peers.get(competitor.name, value))
    fastest = min(peers, key=peers.get, default=None)
    gflops = {str(c): 2 * SIZES[c.name] ** 3 / value / 1e6 for c, value in measured.items() if c.name in SIZES}
    alone = [rate for name, rate in gflops.items() if name.endswith(" 1")]
    together = [rate for name, rate in gflops.items() if not name.endswith(" 1")]
    floor, floor_of_one = (flops(workload) / max(rates) / 1e6 if rates else None for rates in (together, alone))
    return {
        "name": workload.name,
        "ms": ours,
        "ratio_to_notebook": ratio(notebook, ours),
        "ms_bf16": ms.get(f"ours bf16 {best}"),
        "notebook_ms": notebook,
        "peers_ms": peers,
        "fastest_peer": fastest,
        "fastest_peer_ratio": ratio(peers.get(fastest), ours),
        "floor_ms": floor,
        "floor_ratio": ratio(ours, floor),
        "floor_ratio_one_thread": ratio(ms.get("ours 1"), floor_of_one),
        "gflops": gflops,
        "measured_ms": ms,
    }


def total_ratio(entries: dict[str, dict], workloads: list[Workload], ours: str) -> float | None:
    """Notebook over ours, each summed over the steps of these workloads; None unless all were measured."""
    rows = [(workload.steps, entries.get(workload.name, {})) for workload in workloads]
    if not all(row.get(ours) and row.get("notebook_ms") for _, row in rows):
        return None
    return ratio(sum(n * row["notebook_ms"] for n, row in rows), sum(n * row[ours] for n, row in rows))


def machine(entries: list[dict], jax: bool) -> dict:
    products = sorted({name for entry in entries for name in entry["gflops"]})
    return {
        "cpu": cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": len(cores()),
        "torch": torch.__version__,
        "jax": importlib.metadata.version("jax") if jax else None,
        "gflops": {key: median(e["gflops"][key] for e in entries if key in e["gflops"]) for key in products},
    }
