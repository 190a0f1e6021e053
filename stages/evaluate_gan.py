"""Compare the generators' images with the test set's, by the classifier, at the end of training and along the way."""

from pathlib import Path

from common.stage import run

import torch
from torch import Tensor

from dlreport.config import load_params
from dlreport.gan.classifier import Classifier
from dlreport.gan.images import as_pictures
from dlreport.gan.quality import Reference, measure
from dlreport.gan.samples import generate
from dlreport.io import read_tensors, write_csv, write_metrics, write_tensors
from dlreport.progress import start_logging
from dlreport.runtime import prepare, select_device
from dlreport.streams import stream

PLOTS = Path("plots/gan")
IN_METRICS = (
    *("fid", "kid", "precision", "coverage", "digits_missing", "digits_total_variation", "near_training"),
    "two_sample_accuracy",
)


def main() -> None:
    start_logging()
    params = load_params()
    prepare(threads=1, keep_memory=False)
    where = select_device(params.device)
    classifier = Classifier.of_digits(read_tensors(Path("models/classifier.safetensors"))).to(where)
    train, test = (read_tensors(Path(f"data/mnist/{split}.safetensors")) for split in ("train", "test"))
    count = min(params.quality.images, len(test["images"]))
    first = {name: values[:count] for name, values in test.items()}
    real = Reference.build(first, train, classifier, params.quality.neighbours)

    # All generators get the same latent vectors, so that epochs differ by the generators alone.
    latents = torch.randn(count, params.gan.latent_dim, generator=stream(params.seed, "quality", "latents"))

    def draw(replicate: int, network: str) -> Tensor:
        images = generate(read_tensors(Path(f"models/gan/{replicate}/{network}.safetensors")), latents)
        return as_pictures(images).to(where)

    found = measure(draw, real, params)
    write_csv(PLOTS / "quality_by_epoch.csv", found.by_epoch)
    write_csv(PLOTS / "digit_shares.csv", found.shares)
    write_csv(PLOTS / "quality.csv", found.sets)
    write_csv(PLOTS / "quality_by_digit.csv", found.by_digit)
    write_tensors(Path("models/closest_pairs.safetensors"), found.pairs._asdict())

    means = found.sets.groupby("images").mean()
    fids = {"fid_average": means.at["average", "fid"], "fid_reference": means.at["training images", "fid"]}
    metrics = means.loc["generator", list(IN_METRICS)].to_dict() | fids
    write_metrics(Path("metrics/gan/quality.json"), {name: float(value) for name, value in metrics.items()})


if __name__ == "__main__":
    run(main)
