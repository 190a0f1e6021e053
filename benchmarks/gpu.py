"""Time this repository's training on a CUDA device side by side with other forms of it: gpu.json.

    python benchmarks/gpu.py

Of the sequence models, this repository trains five replicates at once and all others one. All are interleaved,
medians; compiling is not timed. The floor is what the products' operations or the bytes of parameters, gradients and
optimizer take, whichever is longer, at the rates of a large product in fp32 and of a copy on this card. With --minutes
no further workload is begun after that time. JAX takes part if it is installed for CUDA. Images are noise: MNIST takes
the same time.
"""

import argparse
import importlib.metadata
import importlib.util
import os
import time
from itertools import pairwise
from math import inf
from pathlib import Path

from harness import Competitor, Crew, measure
from workloads import DISCRIMINATOR, GENERATOR, PEERS, Workload, flops

from dlreport.errors import UserError, run
from dlreport.io import write_json

REPLICATES = {"cuda": 5, "cpu": 1}
WORKLOADS = [
    *(Workload(model, length) for length in (5, 20) for model in ("VanillaRNN", "LSTM")),
    *(Workload("GAN"), Workload("GRU", 20)),
]
BF16 = (("precision", "bf16"),)


def competitors(workload: Workload, device: str, noise: int, bf16: bool, jax: bool) -> list[Competitor]:
    """Everyone who runs this workload, and what gives the floor."""
    on, gan, peer = (("device", device),), workload.kind == "GAN", PEERS.get(workload.kind)
    images = (("noise", noise),) if gan else ()
    own = (*on, *images, *(() if gan else (("replicates", REPLICATES[device]),)))
    found = [Competitor("ours", "ours:build", "1", own)]
    if bf16:
        found.append(Competitor("ours, bf16", "ours:build", "1", (*own, *BF16)))
    if peer:
        found.append(Competitor(f"{peer}, eager", "peers:build", "1", (*on, *images)))
    if peer and not gan:
        found.append(Competitor(f"{peer}, in graphs", "gpu_peers:build", "1", (*on, ("form", "layer"))))
        found.append(Competitor("torch.compile, in graphs", "gpu_peers:build", "1", (*on, ("form", "loop"))))
    if peer and jax:
        found.append(Competitor("JAX", "jax_peers:build", "1", images))
    found += [Competitor(name, f"gpu_peers:build_{name}", "1", on) for name in ("product", "copy")]
    return found


def parameters(workload: Workload) -> int:
    if workload.kind == "GAN":
        pairs = [*pairwise(GENERATOR), *pairwise(DISCRIMINATOR)]
        return sum((inputs + 1) * outputs for inputs, outputs in pairs) + 2 * sum(GENERATOR[2:-1])
    from ours import seeded

    from dlreport.sequence.task import Task

    return sum(p.numel() for p in Task(workload.kind, workload.length).build(workload.hidden, seeded(0)).parameters())


def summarise(workload: Workload, ms: dict[str, float], device: str) -> dict:
    """The workload's entry, in us."""
    from gpu_peers import SIZES

    size, floats = SIZES[device]
    replicates = 1 if workload.kind == "GAN" else REPLICATES[device]
    operations = replicates * flops(workload)
    # A gradient is written and read, a weight and a mean of squares read and written; of Adam also a mean
    moved = 4 * replicates * parameters(workload) * (8 if workload.kind == "GAN" else 6)
    rate, bandwidth = 2 * size**3 / ms["product"] * 1e3, 8 * floats / ms["copy"] * 1e3
    return {
        "name": workload.name,
        "replicates_of_ours": replicates,
        "us_a_step": {name: 1000 * value for name, value in ms.items() if name not in ("product", "copy")},
        "floor_us": 1e6 * max(operations / rate, moved / bandwidth),
        "operations": operations,
        "bytes": moved,
        "operations_a_second": rate,
        "bytes_a_second": bandwidth,
    }


def versions(jax: bool) -> dict[str, str | None]:
    import torch

    from dlreport.machine import cpu_name

    cuda = torch.cuda.is_available()
    triton = importlib.util.find_spec("triton") and importlib.metadata.version("triton")
    return {
        "card": torch.cuda.get_device_name() if cuda else None,
        "cpu": cpu_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": str(torch.backends.cudnn.version()) if cuda else None,
        "triton": triton or None,
        "jax": importlib.metadata.version("jax") if jax else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="blocks of each competitor; the median counts")
    parser.add_argument("--block-seconds", type=float, default=0.2)
    parser.add_argument("--minutes", type=float, default=inf)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="an LSTM and the GAN, small: to see that it runs")
    parser.add_argument("--only", metavar="WORKLOAD", help="such as LSTM-20")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("gpu.json"))
    options = parser.parse_args()
    import torch  # here: a JAX worker imports this file too, and shall not load torch

    from dlreport.runtime import bf16_supported

    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA GPU here")
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # which would take most of the memory
    packages = ["jax", "optax"]
    plugin = options.device == "cpu" or any(importlib.util.find_spec(f"jax_cuda{n}_plugin") for n in (12, 13))
    jax = all(importlib.util.find_spec(package) for package in packages) and plugin
    bf16 = bf16_supported(torch.device(options.device))
    workloads, noise, began = WORKLOADS, 60_000, time.monotonic()
    if options.tiny:
        noise, workloads = 200, [Workload("LSTM", 3, hidden=8, batch=16), Workload("GAN", batch=16)]
    workloads = [each for each in workloads if options.only in (None, each.name)]
    entries = []
    for workload in workloads:
        if time.monotonic() - began > 60 * options.minutes:
            print(f"{workload.name}: left out, {options.minutes:g} minutes are over", flush=True)
            continue
        with Crew() as crew:
            pairs = [(each, workload) for each in competitors(workload, options.device, noise, bf16, jax)]
            times = measure(crew, pairs, options.repeats, options.block_seconds)
        ms = {competitor.name: value for (competitor, _), value in times.items()}
        entries.append(summarise(workload, ms, options.device))
        for name, us in [*entries[-1]["us_a_step"].items(), ("floor", entries[-1]["floor_us"])]:
            print(f"{workload.name:>14} {name:28} {us:10.1f} us a step", flush=True)
        settings = {"repeats": options.repeats, "block_seconds": options.block_seconds}
        write_json(options.output, {**versions(jax), **settings, "workloads": entries})  # so far


if __name__ == "__main__":
    run(main)
