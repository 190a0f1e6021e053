"""Measure the generator's images against the test set's, by the classifier: at the end of training and along it."""

from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from dlreport import figures
from dlreport.config import load_params
from dlreport.evaluation.gan import as_images, generate, tile
from dlreport.evaluation.quality import Real, at_a_glance, judge, nearest
from dlreport.io import read_tensors, write_csv, write_figure, write_metrics
from dlreport.models.classifier import Classifier
from dlreport.streams import stream
from dlreport.training.classifier import use_one_thread
from dlreport.training.gan import snapshot_epochs
from dlreport.training.progress import log, start_logging
from stage import run

PLOTS = Path("plots/gan")
PAIRS = 10
IN_METRICS = (
    *("fid", "kid", "precision", "recall", "coverage", "digits_missing", "digits_total_variation", "unsure"),
    *("near_training", "two_sample_accuracy"),
)


def main() -> None:
    start_logging()
    params = load_params()
    use_one_thread()
    model = Classifier(10, torch.Generator()).eval()
    model.load_state_dict(read_tensors(Path("models/classifier.pt")))
    train, test = (read_tensors(Path(f"data/mnist/{split}.pt")) for split in ("train", "test"))
    count = min(params.quality.images, len(test["images"]))
    real = Real.of(as_images(test["images"][:count]), as_images(train["images"]), train["labels"], model)

    def drawn(network: str, repeat: int = 0) -> Tensor:
        noise = stream(params.seed, "quality", "latents", repeat)
        latents = torch.randn(count, params.gan.latent_dim, generator=noise)
        return generate(read_tensors(Path(f"models/gan/{network}.pt")), latents)

    by_epoch = []
    for epoch in snapshot_epochs(params.gan):
        found = at_a_glance(drawn(f"snapshots/{epoch:04d}"), real, model, params.quality)
        log.info("epoch %d fid %.3f coverage %.3f", epoch, found["fid"], found["coverage"])
        by_epoch.append({"epoch": epoch, **found})
    write_csv(PLOTS / "quality_by_epoch.csv", pd.DataFrame(by_epoch))
    write_figure(PLOTS / "quality_by_epoch.png", figures.quality_by_epoch(pd.DataFrame(by_epoch)))

    rows = {name: judge(name, partial(drawn, name), real, model, params) for name in ("generator", "average")}
    reference = real.train.split(count)  # the best attainable: images that are real, but not the test set's
    rows["training images"] = judge("training images", reference.__getitem__, real, model, params, of_training=True)
    write_csv(PLOTS / "quality.csv", pd.DataFrame([{"images": name, **row} for name, row in rows.items()]))
    write_metrics(
        Path("metrics/gan/quality.json"),
        {name: rows["generator"][name] for name in IN_METRICS}
        | {"fid_average": rows["average"]["fid"], "fid_reference": rows["training images"]["fid"]},
    )

    generated = drawn("generator")
    distances, indices = nearest(generated.flatten(1), real.train.flatten(1))
    closest = distances[:, 0].topk(PAIRS, largest=False).indices
    pairs = torch.cat([generated[closest], real.train[indices[closest, 0]]])
    title = "generated images (above) that are closest to a training image (below)"
    write_figure(PLOTS / "closest_pairs.png", figures.image_grid(tile(pairs, PAIRS), title))


if __name__ == "__main__":
    run(main)
