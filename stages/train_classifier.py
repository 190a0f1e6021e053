"""Train the classifier that judges the GAN's images, and test it."""

from pathlib import Path

from common.stage import run

from dlreport.config import load_params
from dlreport.gan.classifier import read, train_classifier
from dlreport.gan.images import DIGITS, as_images
from dlreport.io import read_tensors, write_metrics, write_tensors
from dlreport.progress import start_logging
from dlreport.runtime import prepare, select_device


def main() -> None:
    start_logging()
    params = load_params()
    prepare(threads=1, keep_memory=False)
    where = select_device(params.device)
    train, test = (read_tensors(Path(f"data/mnist/{split}.safetensors")) for split in ("train", "test"))

    settings, images = params.classifier, as_images(train["images"]).to(where)
    options = DIGITS, settings.epochs, settings, params.seed, "classifier"
    model = train_classifier(images, train["labels"].to(where), *options)

    right = read(model, as_images(test["images"]).to(where)).digits == test["labels"]
    write_tensors(Path("models/classifier.safetensors"), model.state_dict())
    write_metrics(Path("metrics/classifier.json"), {"test_accuracy": right.double().mean().item()})


if __name__ == "__main__":
    run(main)
