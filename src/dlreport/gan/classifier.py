"""A small convolutional network that classifies images: the judge of the GAN's. It is ours; the report has none.

Shapes: N images [N, 1, 28, 28] in [-1, 1] -> features [N, F] -> logits [N, classes]; labels int64 [N].
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from dlreport.config import ClassifierSettings
from dlreport.gan.images import DIGITS
from dlreport.gan.layers import layer
from dlreport.progress import log, progress
from dlreport.streams import stream

FEATURES = 128  # F
CHUNK = 250  # images of a forward pass without training: more at once are no faster, and take more memory


class Classifier(nn.Module):
    """Two 3 x 3 convolutions of 32 and 64 channels, each with BatchNorm, ReLU and max-pooling; 128 features; logits."""

    def __init__(self, classes: int, generator: torch.Generator):
        super().__init__()
        channels = [1, 32, 64]
        layers = []
        for inputs, outputs in pairwise(channels):
            layers.append(layer(nn.Conv2d, inputs, outputs, generator=generator, kernel_size=3, padding=1))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), layer(nn.Linear, 7 * 7 * channels[-1], FEATURES, generator=generator), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.head = layer(nn.Linear, FEATURES, classes, generator=generator)

    @classmethod
    def of_digits(cls, weights: dict[str, Tensor]) -> "Classifier":
        """Return the trained judge of digits, in eval mode, from its weights."""
        model = cls(DIGITS, torch.Generator())
        model.load_state_dict(weights)
        return model.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Map images [N, 1, 28, 28] to logits [N, classes]."""
        return self.head(self.features(images))


def train_classifier(
    images: Tensor, labels: Tensor, classes: int, epochs: int, settings: ClassifierSettings, seed: int, name: str
) -> Classifier:
    """Train a classifier on the images' device by AdamW under a one-cycle learning rate. `name` names its
    random streams, and the classifier in the log."""
    model = Classifier(classes, stream(seed, name, "init")).to(images.device)
    order = stream(seed, name, "order")
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    batches = -(-len(images) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=settings.learning_rate, epochs=epochs, steps_per_epoch=batches
    )
    for epoch in progress(range(1, epochs + 1), name):
        losses = []
        for batch in torch.randperm(len(images), generator=order).to(images.device).split(settings.batch_size):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        log.info("%s epoch %d loss %.4f", name, epoch, torch.stack(losses).mean().item())
    return model.eval()


@dataclass(frozen=True)
class Reading:
    """Holds images and, on the CPU, what the classifier makes of them."""

    images: Tensor
    features: Tensor  # [N, F]
    digits: Tensor  # the likeliest class [N]
    confidence: Tensor  # the probability of that class [N]


@torch.no_grad()
def read(model: Classifier, images: Tensor) -> Reading:
    """Read images by a model in eval mode. It computes on the images' device."""
    parts = []
    for batch in images.split(CHUNK):
        features = model.features(batch)
        confidence, digits = model.head(features).softmax(1).max(1)
        parts.append((features.cpu(), digits.cpu(), confidence.cpu()))
    return Reading(images, *map(torch.cat, zip(*parts, strict=True)))
