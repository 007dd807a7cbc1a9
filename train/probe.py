"""Start the head from a linear probe: fit it on the frozen encoder before anything else moves.

A head that starts at random first teaches the encoder noise, and a small encoder takes epochs to recover; started from a
probe, fine-tuning reaches in two epochs what it otherwise doesn't in five (LP-FT, Kumar et al. 2022, "Fine-Tuning can
Distort Pretrained Features and Underperform Out-of-Distribution").
"""

import torch
from torch.utils.data import DataLoader

from ..model.heads import HeadLayout
from ..model.network import classifier_layer
from .config import TrainConfig

SENTENCES = 6000
"""The probe is fitted on this many sentences, spread over the data: enough for a linear layer."""
STEPS, RATE, DECAY = 200, 0.02, 2e-3


def start_from_probe(model, dataset, collator, layout: HeadLayout, config: TrainConfig, loss) -> float:
    """Set the classifier's weights to a linear fit on the frozen encoder's features.

    Args:
        dataset: tokenized rows, as for training.
        collator: makes batches of them.
        loss: (logits, gold, layout, primary weight) → the training loss.

    Returns:
        The probe's loss.
    """
    parent, leaf = classifier_layer(model)
    layer = getattr(parent, leaf)
    stride = max(1, len(dataset) // SENTENCES)
    features, gold = _features(model, layer, dataset.select(range(0, len(dataset), stride)), collator)
    mean, spread = features.mean(dim=0), features.std(dim=0)
    # Features of equal scale make one learning rate fit all; the scale is folded into the weights afterwards. A feature that
    # hardly varies stays small: blown up, its rounding would drown the others in int8.
    spread = spread.clamp(min=0.1 * float(spread.max()) + 1e-6)
    scaled = (features - mean) / spread
    weight = torch.zeros(layout.width, features.shape[1], requires_grad=True)
    bias = torch.zeros(layout.width, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=RATE)
    for _ in range(STEPS):
        value = loss(scaled @ weight.T + bias, gold, layout, config.primary_weight) + DECAY * (weight**2).sum()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    with torch.no_grad():
        layer.weight.copy_(weight / spread)
        layer.bias.copy_(bias - (weight / spread) @ mean)
    return float(value.detach())


@torch.no_grad()
def _features(model, layer, dataset, collator) -> tuple[torch.Tensor, torch.Tensor]:
    """What the classifier is given for each row, (N, hidden), and the gold, (N, n + 1)."""
    caught: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0].detach().float().cpu()))
    gold = []
    model.eval()
    try:
        for batch in DataLoader(dataset, batch_size=64, collate_fn=collator):
            gold.append(batch.pop("labels"))
            model(**{name: value.to(model.device) for name, value in batch.items()})
    finally:
        hook.remove()
        model.train()
    return torch.cat(caught), torch.cat(gold)
