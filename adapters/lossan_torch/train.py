"""The loop behind ``lossan train --adapter torch``."""

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

from lossan import LossanError
from lossan.io import atomic_file, remove_unfinished
from lossan.training import (
    History,
    Progress,
    SampleSet,
    TrainOptions,
    TrainPlan,
    augment,
    batch_rows,
    epoch_order,
    evaluation_figures,
    load_image,
    not_ours,
    sample_rng,
)
from lossan_torch.callback import TorchRecorder, record_evaluation
from lossan_torch.measuring import main_output
from lossan_torch.models import build_model
from lossan_torch.states import read_state

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision has them
_AUXILIARY = 0.4  # weight of the auxiliary loss (Szegedy et al. 2016, torchvision's reference)
_AUXILIARY_OF_SEVERAL = 0.3  # of each of GoogLeNet's two (Szegedy et al. 2015, section 5)
_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def train(plan: TrainPlan) -> None:
    """Train, record every sample's loss at every epoch, and write the log.

    Raises
    ------
    LossanError
        Before the first epoch, for whatever could only fail in it.
    """
    options = plan.options
    torch.manual_seed(options.seed)
    training = _Training(plan, _device(options.device))
    done = training.restore() if options.resume else 0
    how = plan.recorder_options(keep_epochs=done, **training.stated())
    recorder = TorchRecorder(options.output, **how)
    history = History(options.output, keep=done, test=plan.test)
    remove_unfinished(_checkpoint(options.output))
    with recorder:
        for epoch in range(done, options.epochs):
            figures = training.run_epoch(epoch, recorder)
            recorder.end_epoch()
            history.add(**figures)
            training.save(epoch + 1)


@final
class _Images(Dataset[Any]):
    """Images of a sample set, augmented or not; the same whichever worker reads them."""

    def __init__(self, samples: SampleSet, options: TrainOptions, epoch: int | None) -> None:
        self._samples, self._options, self._epoch = samples, options, epoch

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[int, Tensor, int] | LossanError:
        try:
            image = load_image(self._samples.files[index], self._options.image_size)
        except LossanError as error:
            return error  # raised in a worker it would come with all of the worker's traceback
        if self._epoch is not None and self._options.augmentation == "flips":
            rng = sample_rng(index, seed=self._options.seed, epoch=self._epoch)
            image = augment(image, rng)
        # copied, since torch must not write to an image's own memory
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())
        return index, pixels, int(self._samples.labels[index])


@dataclass(frozen=True)
class _Scale:
    """From bytes to what ImageNet networks were trained on, on the device."""

    mean: Tensor
    std: Tensor

    def __call__(self, pixels: Tensor) -> Tensor:
        return (pixels.float().div_(255) - self.mean) / self.std


@final
class _Training:
    """A model with its optimiser, one epoch at a time."""

    def __init__(self, plan: TrainPlan, device: torch.device) -> None:
        options = plan.options
        self._plan, self._device = plan, device
        model = build_model(
            options.model,
            len(plan.train.classes),
            options.weights,
            options.image_size,
            batch_size=options.batch_size,
        )
        # convolutions over the channels-last layout are the faster ones on CPUs and on GPUs
        self._model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self._optimiser = _optimiser(options, self._model)
        self._dtype = _precision(options.precision, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype is torch.float16)
        self._scale = _Scale(
            *(torch.tensor(v, device=device)[:, None, None] for v in (_MEAN, _STD))
        )

    def run_epoch(self, epoch: int, recorder: TorchRecorder) -> dict[str, Any]:
        """Train for an epoch, record it and return its figures."""
        options, samples = self._plan.options, self._plan.train
        # All randomness of an epoch follows from its number, so that resuming changes nothing.
        torch.manual_seed(np.random.SeedSequence((options.seed, 3, epoch)).generate_state(1)[0])
        order = epoch_order(len(samples), seed=options.seed, epoch=epoch)
        with Progress(epoch, options.epochs, len(samples)) as progress:
            self._train(self._batches(samples, order, epoch), recorder, progress)
            if options.record == "eval":
                batches = self._in_turn(samples, "recording", progress)
                record_evaluation(
                    recorder,
                    self._model,
                    ((_ids(samples, i), x, y) for i, x, y in batches),
                    device=self._device,
                    forward=self._forward,
                )
            return progress.end(self._test(progress))

    def _train(self, batches: Any, recorder: TorchRecorder, progress: Progress) -> None:
        self._model.train()
        samples, record = self._plan.train, self._plan.options.record == "train"
        # on the device, where reading them for every step would make it wait for the host
        n, sums = 0, torch.zeros(2, device=self._device)
        for index, pixels, labels in batches:
            targets = labels.to(self._device, non_blocking=True)
            outputs, loss = self._step(pixels, targets)
            if record:
                recorder.record(_ids(samples, index), logits=outputs, targets=targets)
            right = (main_output(outputs).detach().argmax(dim=1) == targets).sum()
            n, sums = n + len(index), sums + torch.stack([loss.detach() * len(index), right])
            if progress.due():
                progress.update(n, *sums.tolist())
                n, sums = 0, torch.zeros_like(sums)
        progress.update(n, *sums.tolist())

    def stated(self) -> dict[str, str]:
        """Return on what it ran, for the log."""
        return {"device": str(self._device), "precision": str(self._dtype).removeprefix("torch.")}

    def save(self, epochs: int) -> None:
        """Write a checkpoint that a crash leaves whole, old or new."""
        state = {
            "epochs": epochs,
            "options": self._plan.identity(),
            "model": self._model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
        }
        with atomic_file(_checkpoint(self._plan.options.output)) as file:
            torch.save(state, file)

    def restore(self) -> int:
        """Load the checkpoint and return how many epochs it holds, 0 without one."""
        file = _checkpoint(self._plan.options.output)
        if not file.exists():
            return 0
        state = read_state(file, self._device)
        try:
            self._plan.check_identity(state["options"], file)
            self._model.load_state_dict(state["model"])
            self._optimiser.load_state_dict(state["optimiser"])
            self._scaler.load_state_dict(state["scaler"])
            return int(state["epochs"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise LossanError(not_ours(file, error)) from error

    def _step(self, pixels: Tensor, targets: Tensor) -> tuple[Any, Tensor]:
        """Train on a batch; return the outputs and the mean loss of the main one."""
        self._optimiser.zero_grad(set_to_none=True)
        outputs = self._forward(pixels)
        main = nn.functional.cross_entropy(main_output(outputs).float(), targets)
        others = outputs[1:] if isinstance(outputs, tuple) else ()
        weight = _AUXILIARY if len(others) == 1 else _AUXILIARY_OF_SEVERAL
        objective = main
        for other in others:
            objective = objective + weight * nn.functional.cross_entropy(other.float(), targets)
        self._scaler.scale(objective).backward()  # type: ignore[no-untyped-call]  # torch has none here
        self._scaler.step(self._optimiser)
        self._scaler.update()
        return outputs, main

    def _forward(self, pixels: Tensor) -> Any:
        inputs = self._scale(pixels.to(self._device, non_blocking=True))
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        cast = (
            torch.autocast(self._device.type, self._dtype)
            if self._dtype is not torch.float32
            else nullcontext()
        )
        with cast:
            return self._model(inputs)

    def _test(self, progress: Progress) -> dict[str, Any] | None:
        samples = self._plan.test
        if samples is None:
            return None
        self._model.eval()
        loss, right = 0.0, []
        with torch.no_grad():
            for _, pixels, labels in self._in_turn(samples, "test set", progress):
                targets = labels.to(self._device)
                logits = self._forward(pixels).float()
                loss += float(nn.functional.cross_entropy(logits, targets, reduction="sum"))
                right.append((logits.argmax(dim=1) == targets).cpu().numpy())
        return evaluation_figures(loss, np.concatenate(right))

    def _in_turn(self, samples: SampleSet, what: str, progress: Progress) -> Iterator[Any]:
        batches = self._batches(samples, np.arange(len(samples)), None)
        return progress.over(batches, what, len(samples))

    def _batches(self, samples: SampleSet, order: Any, epoch: int | None) -> Iterator[Any]:
        options = self._plan.options
        workers = options.workers if options.workers >= 0 else _workers(len(samples))
        loader = DataLoader(
            _Images(samples, options, epoch),
            batch_sampler=batch_rows(order, options.batch_size),
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=self._device.type == "cuda",
        )
        for batch in loader:
            if isinstance(batch, LossanError):
                raise batch
            yield batch


def _collate(samples: list[Any]) -> Any:
    errors = [sample for sample in samples if isinstance(sample, LossanError)]
    return errors[0] if errors else default_collate(samples)


def _ids(samples: SampleSet, index: Tensor) -> list[Any]:
    return [samples.ids[i] for i in index.tolist()]


def _optimiser(options: TrainOptions, model: nn.Module) -> torch.optim.Optimizer:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if options.optimizer == "sgd":
        return torch.optim.SGD(parameters, options.lr, momentum=0.9)
    if options.optimizer == "adamw":
        return torch.optim.AdamW(parameters, options.lr)
    return torch.optim.Adam(parameters, options.lr)


def _device(name: str) -> torch.device:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((kind for kind, usable in there.items() if usable), "cpu")
    elif not there.get(name, True):
        raise LossanError(f"--device {name}: torch finds none here; use --device auto or cpu.")
    return torch.device(name)


def _precision(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    return _DTYPES.get(name, torch.float32)


def _workers(n_samples: int) -> int:
    # a handful of images is read faster than processes start
    return 0 if n_samples < 64 or sys.platform == "win32" else os.cpu_count() or 1


def _checkpoint(log: Path) -> Path:
    return log.with_name(log.name + ".checkpoint.pt")
