"""Fine-tune an encoder with transformers' Trainer: the loss, the optimizer's layers, the run."""

import json
import logging
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional as F
from transformers import DataCollatorWithPadding, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments, set_seed

from ..data.annotated import Annotated
from ..model.heads import SINGLE, HeadLayout
from ..model.network import EncoderError, classifier_layer, has_trained_head, new_network
from .config import TrainConfig
from .dataset import TrainingData
from .probe import start_from_probe

log = logging.getLogger(__name__)


def targets(rows: Sequence[Annotated], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Gold as (N, n) zeros and ones, and as (N,) index of the primary label, n for none."""
    index = {name: i for i, name in enumerate(names)}
    events = np.zeros((len(rows), len(names)), np.float32)
    primary = np.full(len(rows), len(names), np.int64)
    for i, row in enumerate(rows):
        for label in row.labels:
            events[i, index[label]] = 1.0
        if row.labels:
            primary[i] = index[row.labels[0]]
    return events, primary


def tokenized(rows: Sequence[Annotated], tokenizer, config: TrainConfig, names: Sequence[str]) -> Dataset:
    """The rows as a dataset of token ids and targets."""
    encoded = tokenizer([row.text for row in rows], truncation=True, max_length=config.max_tokens)
    events, primary = targets(rows, names)
    # The targets travel under names that the collator leaves alone, as one vector per row.
    columns = {
        **encoded,
        "events": events.tolist(),
        "primary": primary.tolist(),
        "length": [len(ids) for ids in encoded["input_ids"]],
    }
    return Dataset.from_dict(columns)


class Collator(DataCollatorWithPadding):
    """Pads a batch and puts its targets together."""

    def __call__(self, features):
        """Rows → padded tensors, the targets under `labels`."""
        events = torch.tensor([f.pop("events") for f in features])
        primary = torch.tensor([f.pop("primary") for f in features])
        for feature in features:
            feature.pop("length", None)
        return {**super().__call__(features), "labels": torch.cat([events, primary[:, None].float()], dim=1)}


def hide_words(ids: torch.Tensor, tokenizer, share: float) -> torch.Tensor:
    """The (B, T) token ids with about a share of them replaced by the mask token, special tokens never."""
    if not share or tokenizer.mask_token_id is None:
        return ids
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids, device=ids.device))
    return ids.masked_fill((torch.rand(ids.shape, device=ids.device) < share) & ~special, tokenizer.mask_token_id)


class SentenceTrainer(Trainer):
    """Trainer with sitrep's loss and layer-wise learning rates."""

    def __init__(self, *args, layout: HeadLayout, settings: TrainConfig, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.layout = layout
        self.settings = settings

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """See head_loss."""
        gold = inputs.pop("labels")
        if model.training:
            # Here and not in the collator, which does not know whether it is a batch to learn from or to be measured on.
            hidden = hide_words(inputs["input_ids"], self.processing_class, self.settings.word_dropout)
            inputs = {**inputs, "input_ids": hidden}
        outputs = model(**inputs)
        loss = head_loss(outputs.logits.float(), gold, self.layout, self.settings.primary_weight)
        return (loss, {"logits": outputs.logits}) if return_outputs else loss

    def create_optimizer(self, model=None):
        """AdamW over parameter_groups."""
        if self.optimizer is None:
            assert isinstance(self.model, PreTrainedModel)
            groups = parameter_groups(self.model, self.settings)
            self.optimizer = torch.optim.AdamW(groups, lr=self.settings.learning_rate, fused=True)
        return self.optimizer


def head_loss(logits: torch.Tensor, gold: torch.Tensor, layout: HeadLayout, primary_weight: float) -> torch.Tensor:
    """Loss of a batch.

    Args:
        logits: (N, width).
        gold: (N, n + 1), the labels as zeros and ones and then the primary label's index.

    Returns:
        Single label: cross-entropy. Multi-label: binary cross-entropy summed over the labels and divided by their number's
        root, so that neither many labels drown the primary loss nor few ones vanish beside it, plus the primary's
        cross-entropy.
    """
    n = layout.labels
    if layout.task == SINGLE:
        return F.cross_entropy(logits, gold[:, n].long())
    loss = F.binary_cross_entropy_with_logits(logits[:, :n], gold[:, :n], reduction="sum") / (len(gold) * n**0.5)
    if layout.primary:
        loss = loss + primary_weight * F.cross_entropy(logits[:, n:], gold[:, n].long())
    return loss


def parameter_groups(model: PreTrainedModel, config: TrainConfig) -> list[dict]:
    """Parameters with their learning rates: the top at the full rate, each layer below it at `layer_decay` times the next."""
    found = {name: re.search(r"\.layers?\.(\d+)\.", name) for name, _ in model.named_parameters()}
    depths = {name: int(match[1]) for name, match in found.items() if match}
    layers = 1 + max(depths.values(), default=-1)
    parent, leaf = classifier_layer(model)
    head = set(map(id, getattr(parent, leaf).parameters()))
    groups = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        outside = layers if "embed" in name and id(parameter) not in head else 0
        below = layers - 1 - depths[name] if name in depths else outside
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.append({"params": [parameter], "lr": config.learning_rate * config.layer_decay**below, "weight_decay": decay})
    return groups


def native_bf16() -> bool:
    """Whether this machine multiplies bf16 in hardware; where it doesn't, emulation is several times slower than fp32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


class LogFile(TrainerCallback):
    """Appends what the Trainer logs to a JSON-lines file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Called by the Trainer."""
        if state.is_world_process_zero:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": state.global_step, **(logs or {})}) + "\n")


def finetune(data: TrainingData, config: TrainConfig, log_path: Path):
    """Fit the network.

    Returns:
        The model of the epoch with the best validation score, its tokenizer, and its (N, width) logits on the validation rows.
    """
    set_seed(config.seed)
    names = data.codebook.names
    model, tokenizer = new_network(config.encoder, data.layout, names, dropout=config.dropout, head_dropout=config.head_dropout)
    longest = getattr(model.config, "max_position_embeddings", config.max_tokens)
    if config.max_tokens > longest:
        raise EncoderError(f"max_tokens is {config.max_tokens}; {config.encoder} reads at most {longest}")
    bf16 = config.precision == "bf16" or (config.precision == "auto" and native_bf16())
    fit = tokenized(data.fit, tokenizer, config, names)
    validation = tokenized(data.validation, tokenizer, config, names)
    steps = int(np.ceil(len(fit) / config.batch_size) * config.epochs)
    if not has_trained_head(config.encoder, data.layout, names):
        log.info("linear probe: loss %.3f", start_from_probe(model, fit, Collator(tokenizer), data.layout, config, head_loss))
    with tempfile.TemporaryDirectory(prefix="sitrep-train-") as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            num_train_epochs=config.epochs,
            per_device_train_batch_size=config.batch_size,
            per_device_eval_batch_size=64,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            warmup_steps=int(config.warmup * steps),
            lr_scheduler_type="linear",
            bf16=bf16,
            train_sampling_strategy="group_by_length",
            length_column_name="length",
            remove_unused_columns=False,
            label_names=["labels"],
            eval_strategy="epoch",
            save_strategy="epoch",
            save_only_model=True,
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model="score",
            greater_is_better=True,
            logging_steps=max(1, min(50, steps // 10)),
            report_to="none",
            seed=config.seed,
            dataloader_pin_memory=torch.cuda.is_available(),
        )
        trainer = SentenceTrainer(
            model=model,
            args=arguments,
            data_collator=Collator(tokenizer),
            processing_class=tokenizer,
            train_dataset=fit,
            eval_dataset=validation,
            compute_metrics=lambda prediction: quick_scores(prediction.predictions, prediction.label_ids, data.layout),
            callbacks=[LogFile(log_path)],
            layout=data.layout,
            settings=config,
        )
        trainer.train()
        # The Trainer groups by length in evaluation too, and would give the logits in that order, not the rows'.
        trainer.args.train_sampling_strategy = "random"
        logits = trainer.predict(validation).predictions
    return trainer.model, tokenizer, np.asarray(logits, np.float32)


def quick_scores(logits: np.ndarray, gold: np.ndarray, layout: HeadLayout) -> dict[str, float]:
    """Validation scores that choose the epoch, with every threshold at one half.

    `score` is accuracy for a single label; else micro-F1, averaged with the primary label's accuracy where there is one.
    """
    n = layout.labels
    events, primary = layout.split(logits)
    if layout.task == SINGLE:
        accuracy = float((events.argmax(1) == gold[:, n]).mean())
        return {"score": accuracy, "accuracy": accuracy}
    given, true = events > 0, gold[:, :n] > 0.5
    micro = float(2 * (given & true).sum() / max(1, given.sum() + true.sum()))
    scores = {"micro_f1": micro, "score": micro}
    if primary is not None:
        accuracy = float((primary.argmax(1) == gold[:, n]).mean())
        scores.update(primary_accuracy=accuracy, score=(micro + accuracy) / 2)
    return scores
