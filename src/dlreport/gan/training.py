"""The GAN's training loop. Report, part 2, "Training"."""

import os
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dlreport.checkpoint import NO_CHECKPOINTS, Checkpoint, Checkpoints
from dlreport.config import GAN_THREADS, Params
from dlreport.errors import UserError
from dlreport.executor import run_each
from dlreport.gan.engines import build_engine, is_native
from dlreport.gan.images import normalise
from dlreport.gan.networks import Discriminator, Generator
from dlreport.gan.thresholds import JUDGED
from dlreport.gpu import send
from dlreport.progress import log, progress
from dlreport.runtime import check_precision, prepare, select_device
from dlreport.streams import stream

Weights = dict[str, Tensor]
LOSSES, ACCURACIES = ("discriminator", "generator"), ("accuracy_real", "accuracy_generated")


@dataclass(frozen=True)
class GanRun:
    """Holds the trained networks' weights, and what training showed by epoch."""

    generator: Weights
    discriminator: Weights
    average: Weights  # the running average of the generator, on which training does not depend
    snapshots: dict[int, Weights]  # the generator at each of `GanSettings.snapshot_epochs`
    losses: dict[str, list[float]]  # for each of LOSSES, its means by epoch [epochs]
    accuracies: dict[str, list[float]]  # for each of ACCURACIES, the discriminator's after each epoch [epochs]


def train_replicates(
    pixels: Tensor, params: Params, workers: int, checkpoints: Checkpoints = NO_CHECKPOINTS
) -> list[GanRun]:
    """Train `gan.replicates` GANs in up to `workers` processes, which share `workers` threads. Return them in replicate
    order. Engines other than the native one use one process."""
    replicates = params.gan.replicates
    processes = min(workers, replicates) if is_native(select_device(params.device), params.precision) else 1
    run = partial(_train_one, pixels, params, workers, processes)
    runs = run_each(run, range(replicates), processes, checkpoints, "GAN-{}".format)
    return [trained for _, trained in sorted(runs)]


def _train_one(
    pixels: Tensor, params: Params, workers: int, processes: int, replicate: int, checkpoints: Checkpoints
) -> GanRun:
    """Train one replicate on its share of the threads, which is larger if fewer runs than processes are left."""
    beside = min(processes, params.gan.replicates - replicate // processes * processes)
    threads = 1 if os.environ.get("RAY_ADDRESS") else workers // beside  # a cluster gives each run one processor
    return train_gan(pixels, params, threads, replicate, checkpoints)


@torch.no_grad()
def discriminator_accuracy(generator: Generator, discriminator: Discriminator, real: Tensor, latents: Tensor) -> Tensor:
    """Return the shares [2] of real images [N, P], and of generated images from latents [N, Z], that the discriminator
    gets right.

    The images come from the generator in eval mode, as all else here shows and measures them. (In train mode BatchNorm
    would also move its running statistics.) Neither network is changed.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that no number depends on how many threads there are
    fake = deepcopy(generator).eval()(latents)
    rights = discriminator.logits(real) > 0, discriminator.logits(fake) < 0
    torch.set_num_threads(threads)
    return torch.stack([right.float().mean() for right in rights]).cpu()


def train_gan(
    pixels: Tensor, params: Params, threads: int, replicate: int, checkpoints: Checkpoints = NO_CHECKPOINTS
) -> GanRun:
    """Train a GAN on uint8 images [N, 28, 28]. Replicate k of a seed is replicate 0 of seed + k.

    Training goes on from a checkpoint if there is one. The native engine uses up to `threads` threads, on which its
    numbers do not depend. Autograd's engine uses one on a CPU.

    Raises UserError if the batch size leaves a single image for the last batch, if the device does not have the
    precision, or if a loss is no longer finite; the last error names the epoch and the batch.
    """
    settings, precision, seed = params.gan, params.precision, params.seed + replicate
    if len(pixels) % settings.batch_size == 1:
        raise UserError(
            f"gan.batch_size: {settings.batch_size} leaves one image of {len(pixels)} for the last batch, "
            "and BatchNorm needs two; choose another size"
        )
    where = select_device(params.device)
    check_precision(precision, where)
    prepare(min(threads, GAN_THREADS) if is_native(where, precision) else 1)
    generator = Generator(settings.latent_dim, stream(seed, "gan", "init", "generator")).to(where)
    discriminator = Discriminator(stream(seed, "gan", "init", "discriminator")).to(where)
    order = stream(seed, "gan", "order")
    engine = build_engine(generator, discriminator, settings, stream(seed, "gan", "noise"), precision)
    images = normalise(pixels).to(where)  # the whole set at once: 188 MB for 60,000 images
    kept_at = settings.snapshot_epochs()
    label = f"GAN-{replicate}"

    with checkpoints.open(label) as checkpoint:

        def snapshot(epoch: int) -> Checkpoint:
            return checkpoint.beside(f"{label}-{epoch:04d}")

        def keep_generator(epoch: int) -> None:
            snapshots[epoch] = deepcopy(generator.state_dict())
            snapshot(epoch).save(snapshots[epoch])

        def save(finished: int) -> None:
            position = {"finished": finished, "means": means, "losses": losses, "order": order_at_start}
            checkpoint.save({**position, "engine": engine.state_dict()})

        snapshots: dict[int, Weights] = {}
        finished, means = 0, []  # finished epochs, and what each showed: LOSSES, then ACCURACIES [4]
        losses = torch.empty(0, 2, device=where)  # of each batch so far of the current epoch
        state = checkpoint.load()
        earlier = {epoch: snapshot(epoch).load() for epoch in kept_at if state and epoch <= state["finished"]}
        if state and all(earlier.values()):
            finished, means, losses = state["finished"], state["means"], state["losses"].to(where)
            order.set_state(state["order"])
            engine.load_state_dict(state["engine"])
            log.info("%s goes on from epoch %d, batch %d", label, finished + 1, len(losses))
            snapshots |= earlier
        else:
            keep_generator(0)

        for epoch in progress(range(finished + 1, settings.epochs + 1), label):
            order_at_start = order.get_state()
            batches = send(torch.randperm(len(images), generator=order), where).split(settings.batch_size)
            while (begin := len(losses)) < len(batches):
                block = [batch for batch in batches[begin : begin + engine.block] if len(batch) == len(batches[begin])]
                real = images[torch.stack(block)]
                losses = torch.cat([losses, engine.train(real, done=(epoch - 1) * len(batches) + begin)])
                if checkpoint.due:
                    save(epoch - 1)
                    checkpoint.stop_if_asked(f"{label}, epoch {epoch}, batch {len(losses)} of {len(batches)},")
            finite = losses.isfinite().all(1).tolist()
            if not all(finite):
                at = f"epoch {epoch}, batch {finite.index(False) + 1}"
                raise UserError(f"{label}: a loss is no longer finite in {at}; lower gan.learning_rate")
            # Each epoch has a stream of its own, so its state need not be saved, and training draws nothing from it.
            latents = torch.randn(JUDGED, settings.latent_dim, generator=stream(seed, "gan", "accuracy", epoch)).to(
                where
            )
            accuracy = discriminator_accuracy(generator, discriminator, images[:JUDGED], latents)
            means.append(torch.cat([losses.mean(0).cpu(), accuracy]))
            losses = losses[:0]
            log.info("%s epoch %d discriminator loss %.4f generator loss %.4f", label, epoch, *means[-1][:2].tolist())
            if epoch in kept_at:
                keep_generator(epoch)
        order_at_start = order.get_state()
        save(settings.epochs)  # what follows may fail, for example if the disk is full
    average = deepcopy(generator)
    average.load_state_dict(engine.average.state_dict())  # into tensors of their own, since these are kept
    shown = dict(zip(LOSSES + ACCURACIES, torch.stack(means).T.tolist(), strict=True))
    return GanRun(
        generator.state_dict(),
        discriminator.state_dict(),
        average.state_dict(),
        snapshots,
        losses={name: shown[name] for name in LOSSES},
        accuracies={name: shown[name] for name in ACCURACIES},
    )
