"""The training loop of `./studio pretrain` as a careful person writes it in plain torch, on random tokens of the same shapes.

    python3 pretraining.py FAMILY LAYERS WIDTH HEADS VOCABULARY BATCH TOKENS STEPS

FAMILY is bert, bert-all (words compared at every token, as Hugging Face's BertForMaskedLM does), gpt2, or gpt2-all (scores of the last token too,
and then a copy without them, as Hugging Face's GPT2LMHeadModel does). Float32, no dropout, AdamW, gradients clipped at 1, a linear schedule.
Prints one JSON object: the seconds of each step and its loss.
"""
import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

family, numbers = sys.argv[1], [int(a) for a in sys.argv[2:]]
layers, width, heads, vocabulary, batch, tokens, steps = numbers
causal = family.startswith("gpt2")
eps = 1e-5 if causal else 1e-12
torch.manual_seed(1)
torch.set_num_threads(len(os.sched_getaffinity(0)))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        # GPT-2 makes all three of a token in one product.
        self.three = nn.ModuleList([nn.Linear(width, 3 * width)] if causal else [nn.Linear(width, width) for _ in range(3)])
        self.out = nn.Linear(width, width)

    def forward(self, x, mask):
        def split(t):
            return t.view(t.shape[0], t.shape[1], heads, -1).transpose(1, 2)

        query, key, value = self.three[0](x).split(width, dim=2) if causal else [made(x) for made in self.three]
        scores = split(query) @ split(key).transpose(-2, -1) / math.sqrt(width // heads)
        if mask is not None:
            scores = scores + mask
        return self.out((scores.softmax(-1) @ split(value)).transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask):
        if causal:
            x = x + self.attention(self.norm1(x), mask)
            return x + self.narrow(F.gelu(self.wide(self.norm2(x)), approximate="tanh"))
        x = self.norm1(self.attention(x, mask) + x)
        return self.norm2(self.narrow(F.gelu(self.wide(x))) + x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.positions, self.types = nn.Embedding(vocabulary, width), nn.Embedding(tokens, width), nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.pooler, self.pairs = nn.Linear(width, width), nn.Linear(width, 2)
        self.dense, self.head_norm, self.bias = nn.Linear(width, width), nn.LayerNorm(width, eps=eps), nn.Parameter(torch.zeros(vocabulary))
        for name, p in self.named_parameters():
            if p.dim() > 1:
                nn.init.normal_(p, 0, 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, ids, types, mask):
        x = self.words(ids) + self.positions.weight[: ids.shape[1]]
        if not causal:
            x = self.norm(x + self.types(types))
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x) if causal else x

    def loss(self, ids, types, mask, positions, targets, follows, weights):
        x = self(ids, types, mask)
        if family == "gpt2-all":
            scores = F.linear(x, self.words.weight)
            return F.cross_entropy(scores[:, :-1].contiguous().view(-1, vocabulary), ids[:, 1:].contiguous().view(-1))
        if causal:
            return F.cross_entropy(F.linear(x[:, :-1], self.words.weight).reshape(-1, vocabulary), ids[:, 1:].reshape(-1))
        flat = x.reshape(-1, width)
        asked = flat if family == "bert-all" else flat.index_select(0, positions)
        scores = F.linear(self.head_norm(F.gelu(self.dense(asked))), self.words.weight, self.bias)
        if family == "bert-all":
            labels = torch.full((flat.shape[0],), -100)
            labels[positions] = targets
            words = F.cross_entropy(scores, labels)
        else:
            words = F.cross_entropy(scores, targets)
        pairs = F.cross_entropy(self.pairs(torch.tanh(self.pooler(x[:, 0]))), follows, reduction="none")
        return words + (pairs * weights).sum() / weights.sum()


model = Model()
decayed = [p for p in model.parameters() if p.dim() > 1]
plain = [p for p in model.parameters() if p.dim() == 1]
optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0}], lr=1e-3)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / (steps + 1))
mask = torch.full((tokens, tokens), torch.finfo(torch.float32).min).triu(1) if causal else None
types = (torch.arange(tokens) >= tokens // 2).long().expand(batch, -1)
seconds, losses = [], []
for step in range(steps):
    start = time.perf_counter()
    ids = torch.randint(5, vocabulary, (batch, tokens))
    masked = torch.rand(batch, tokens) < 0.15
    masked[:, 1] = True
    positions = masked.reshape(-1).nonzero().squeeze(1)
    targets = ids.reshape(-1)[positions]
    seen = ids if causal else ids.masked_fill(masked, 4)
    loss = model.loss(seen, types, mask, positions, targets, torch.randint(0, 2, (batch,)), masked.sum(1).float())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    schedule.step()
    losses.append(loss.item())
    seconds.append(time.perf_counter() - start)
print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "seconds": seconds, "losses": losses}))
