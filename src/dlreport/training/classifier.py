"""Training of the classifier. Ours; the report has none.

Shapes: N images [N, 1, 28, 28] in [-1, 1], labels int64 [N].
"""

import torch
from torch import Tensor
from torch.nn import functional

from dlreport.config import Classifier as Settings
from dlreport.models.classifier import Classifier
from dlreport.streams import stream
from dlreport.training.progress import log, progress


def train_classifier(
    images: Tensor, labels: Tensor, classes: int, epochs: int, settings: Settings, seed: int, name: str
) -> Classifier:
    """Train on the images' device by AdamW under a one-cycle learning rate; `name` is that of the random streams."""
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
            loss = functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        log.info("%s epoch %d loss %.4f", name, epoch, torch.stack(losses).mean().item())
    return model.eval()
