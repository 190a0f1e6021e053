"""Measure the generator's images against the test set's, by the classifier: at the end of training and along it."""

from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from dlreport.config import load_params
from dlreport.data.images import as_images
from dlreport.evaluation.classifier import Seen
from dlreport.evaluation.gan import generate
from dlreport.evaluation.quality import Real, at_a_glance, judge
from dlreport.io import read_tensors, write_csv, write_metrics, write_tensors
from dlreport.models.classifier import Classifier
from dlreport.runtime import prepare
from dlreport.streams import stream
from dlreport.training.progress import log, start_logging
from stage import run

PLOTS = Path("plots/gan")
IN_METRICS = (
    *("fid", "kid", "precision", "coverage", "digits_missing", "digits_total_variation", "near_training"),
    "two_sample_accuracy",
)


def main() -> None:
    start_logging()
    params = load_params()
    prepare(threads=1, keep_memory=False)
    model = Classifier.of_digits(read_tensors(Path("models/classifier.pt")))
    train, test = (read_tensors(Path(f"data/mnist/{split}.pt")) for split in ("train", "test"))
    count = min(params.quality.images, len(test["images"]))
    real = Real.of(
        *(as_images(test["images"][:count]), test["labels"][:count], as_images(train["images"]), train["labels"], model)
    )
    replicates = range(params.gan.replicates)

    def drawn(replicate: int, network: str, repeat: int = 0) -> Tensor:
        noise = stream(params.seed, "quality", "latents", repeat)
        latents = torch.randn(count, params.gan.latent_dim, generator=noise)
        return generate(read_tensors(Path(f"models/gan/{replicate}/{network}.pt")), latents)

    by_epoch = []
    for replicate, epoch in product(replicates, params.gan.snapshot_epochs()):
        found = at_a_glance(Seen.by(model, drawn(replicate, f"snapshots/{epoch:04d}")), real, params.quality)
        log.info("GAN-%d epoch %d fid %.3f coverage %.3f", replicate, epoch, found["fid"], found["coverage"])
        by_epoch.append({"replicate": replicate, "epoch": epoch, **found})
    write_csv(PLOTS / "quality_by_epoch.csv", pd.DataFrame(by_epoch))

    rows, pairs = [], {}
    for network, replicate in product(("generator", "average"), replicates):
        name = f"{network} {replicate}"
        row, pairs[name] = judge(name, partial(drawn, replicate, network), real, model, params)
        rows.append({"images": network, "replicate": replicate, **row})
    reference = real.train.split(count)  # the best attainable: images that are real, but not the test set's
    row, _ = judge("training images", reference.__getitem__, real, model, params, of_training=True)
    rows.append({"images": "training images", "replicate": 0, **row})
    write_csv(PLOTS / "quality.csv", pd.DataFrame(rows))

    means = pd.DataFrame(rows).groupby("images").mean()
    fids = {"fid_average": means.at["average", "fid"], "fid_reference": means.at["training images", "fid"]}
    metrics = means.loc["generator", list(IN_METRICS)].to_dict() | fids
    write_metrics(Path("metrics/gan/quality.json"), {name: float(value) for name, value in metrics.items()})
    write_tensors(Path("models/closest_pairs.pt"), pairs["generator 0"])


if __name__ == "__main__":
    run(main)
