"""Writes masked-lm.json: losses and gradients of masked words and of pairs for bert-tiny-oldnames, a BERT with heads for both.

    python3 masked-lm.py FOLDER_OF_THE_GOLDENS > masked-lm.json

with Python torch 1.13 (Debian: python3-torch). The forward pass says what Hugging Face's BertForPreTraining computes as of transformers
4.40; its loss of masked words is checked against the one that transformers itself gave, which is in the golden's expected.json.
"""
import json
import math
import struct
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
golden = sys.argv[1] + "/bert-tiny-oldnames/"


def tensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = bytearray(f.read())
    types = {"F32": torch.float32, "I64": torch.int64}
    return {n: torch.frombuffer(data, dtype=types[e["dtype"]], offset=e["data_offsets"][0], count=math.prod(e["shape"])).view(e["shape"]).clone()
            for n, e in header.items() if n != "__metadata__"}


w = {n.replace(".gamma", ".weight").replace(".beta", ".bias"): t.requires_grad_() for n, t in tensors(golden + "model.safetensors").items() if t.is_floating_point()}
labels = tensors(golden + "expected.safetensors")["mlm_labels"]
config, expected, inputs = (json.load(open(p)) for p in (golden + "config.json", golden + "expected.json", sys.argv[1] + "/bert-tiny/inputs.json"))
ids, types, attention = (torch.tensor(inputs[n]) for n in ("input_ids", "token_type_ids", "attention_mask"))


def norm(name, x):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], config["layer_norm_eps"])


def linear(name, x):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def heads(x):
    return x.view(x.shape[0], x.shape[1], config["num_attention_heads"], -1).transpose(1, 2)


mask = (1 - attention[:, None, None, :].float()) * torch.finfo(torch.float32).min
e = "bert.embeddings."
x = F.embedding(ids, w[e + "word_embeddings.weight"], padding_idx=config["pad_token_id"]) + F.embedding(types, w[e + "token_type_embeddings.weight"])
x = norm(e + "LayerNorm", x + w[e + "position_embeddings.weight"][: ids.shape[1]])
for layer in range(config["num_hidden_layers"]):
    p = f"bert.encoder.layer.{layer}."
    q, k, v = (heads(linear(p + "attention.self." + n, x)) for n in ("query", "key", "value"))
    scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.shape[-1]) + mask
    context = torch.matmul(scores.softmax(-1), v).permute(0, 2, 1, 3).reshape(x.shape)
    x = norm(p + "attention.output.LayerNorm", linear(p + "attention.output.dense", context) + x)
    x = norm(p + "output.LayerNorm", linear(p + "output.dense", F.gelu(linear(p + "intermediate.dense", x))) + x)
pairs = linear("cls.seq_relationship", torch.tanh(linear("bert.pooler.dense", x[:, 0])))
follows = torch.arange(pairs.shape[0]) % 2
x = norm("cls.predictions.transform.LayerNorm", F.gelu(linear("cls.predictions.transform.dense", x)))
logits = F.linear(x, w[e + "word_embeddings.weight"], w["cls.predictions.bias"])
loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), labels.view(-1), ignore_index=-100)
assert abs(loss.item() - expected["mlm_loss"]) < 1e-5, (loss.item(), expected["mlm_loss"])


def gradients():
    found = {n: {"norm": t.grad.norm().item(), "sum": t.grad.sum().item()} for n, t in w.items() if t.grad is not None}
    for t in w.values():
        t.grad = None
    return found


loss.backward(retain_graph=True)
made = {"made_with": f"torch {torch.__version__}, one thread", "loss": loss.item(), "labels": labels.tolist(), "gradients": gradients()}
pair_loss = F.cross_entropy(pairs, follows)
pair_loss.backward()
json.dump({**made, "pairs": pairs.tolist(), "pair_loss": pair_loss.item(), "pair_gradients": gradients()}, sys.stdout, indent=1)
print()
