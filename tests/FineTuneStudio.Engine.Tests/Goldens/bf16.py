"""Writes bf16.json: what torch.autocast("cpu", dtype=torch.bfloat16) gives for bert-tiny and llama-tiny.

    python3 bf16.py FOLDER_OF_THE_GOLDENS > bf16.json

with Python torch 1.13 (Debian: python3-torch). The forward passes below say what Hugging Face's classes of the same names compute,
in the types that they compute in as of transformers 4.40. Beside the numbers stands how far those of float32 are from them: bfloat16 keeps
8 bits, so another order of additions moves a number by about as much.
"""
import json
import math
import struct
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)


def weights(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = bytearray(f.read())
    return {name: torch.frombuffer(data, dtype=torch.float32, offset=e["data_offsets"][0], count=math.prod(e["shape"])).view(e["shape"]).clone().requires_grad_()
            for name, e in header.items() if name != "__metadata__"}


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))


def heads(x, count):
    return x.view(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


def bert(w, config, inputs):
    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], config["layer_norm_eps"])

    ids, types, attention = (torch.tensor(inputs[n]) for n in ("input_ids", "token_type_ids", "attention_mask"))
    mask = (1 - attention[:, None, None, :].float()) * torch.finfo(torch.float32).min
    e = "bert.embeddings."
    x = F.embedding(ids, w[e + "word_embeddings.weight"]) + F.embedding(types, w[e + "token_type_embeddings.weight"])
    x = norm(e + "LayerNorm", x + w[e + "position_embeddings.weight"][: ids.shape[1]])
    for layer in range(config["num_hidden_layers"]):
        p = f"bert.encoder.layer.{layer}."
        q, k, v = (heads(linear(w, p + "attention.self." + n, x), config["num_attention_heads"]) for n in ("query", "key", "value"))
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.shape[-1]) + mask
        context = torch.matmul(scores.softmax(-1), v).permute(0, 2, 1, 3).reshape(x.shape)
        x = norm(p + "attention.output.LayerNorm", linear(w, p + "attention.output.dense", context) + x)
        x = norm(p + "output.LayerNorm", linear(w, p + "output.dense", F.gelu(linear(w, p + "intermediate.dense", x))) + x)
    logits = linear(w, "classifier", linear(w, "bert.pooler.dense", x[:, 0]).tanh()).float()
    return logits, F.cross_entropy(logits, torch.tensor(inputs["labels"]))


def llama(w, config, inputs):
    def norm(name, x):
        return w[name + ".weight"] * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + config["rms_norm_eps"]))

    ids, attention, labels = (torch.tensor(inputs[n]) for n in ("input_ids", "attention_mask", "labels"))
    length, count, shared = ids.shape[1], config["num_attention_heads"], config["num_key_value_heads"]
    closed = torch.ones(length, length).triu(1).bool()[None, None] | (attention == 0)[:, None, None]
    mask = torch.zeros(closed.shape).masked_fill(closed, torch.finfo(torch.float32).min)
    x = F.embedding(ids, w["model.embed_tokens.weight"])
    size = config["hidden_size"] // count
    angles = torch.arange(length).float()[:, None] * config["rope_theta"] ** -(torch.arange(0, size, 2).float() / size)
    angles = torch.cat([angles, angles], -1)

    def turn(t, v):
        a, b = t.chunk(2, -1)
        return t * angles.cos().to(v.dtype) + torch.cat([-b, a], -1) * angles.sin().to(v.dtype)

    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        h = norm(p + "input_layernorm", x)
        q, k, v = (heads(linear(w, p + "self_attn." + n, h), c) for n, c in (("q_proj", count), ("k_proj", shared), ("v_proj", shared)))
        q, k = turn(q, v), turn(k, v)
        k, v = (t.repeat_interleave(count // shared, 1) for t in (k, v))
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(size) + mask
        context = torch.matmul(scores.float().softmax(-1).to(q.dtype), v).transpose(1, 2).reshape(x.shape)
        x = x + linear(w, p + "self_attn.o_proj", context)
        h = norm(p + "post_attention_layernorm", x)
        x = x + linear(w, p + "mlp.down_proj", F.silu(linear(w, p + "mlp.gate_proj", h)) * linear(w, p + "mlp.up_proj", h))
    logits = linear(w, "lm_head", norm("model.norm", x)).float()
    return logits, F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=-100)


def numbers(model, folder, mixed):
    w = weights(folder + "/model.safetensors")
    config, inputs = (json.load(open(f"{folder}/{n}.json")) for n in ("config", "inputs"))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        logits, loss = model(w, config, inputs)
    loss.backward()
    # Of a language model: the second position of each text, the first hundred words.
    shown = logits if logits.dim() == 2 else logits[:, 1, :100]
    return shown.detach(), loss.detach(), {n: t.grad for n, t in w.items() if t.grad is not None}


result = {"made_with": f"torch {torch.__version__}, one thread"}
for name, model in (("bert-tiny", bert), ("llama-tiny", llama)):
    (logits, loss, grads), (exact_logits, exact_loss, exact_grads) = (numbers(model, f"{sys.argv[1]}/{name}", mixed) for mixed in (True, False))
    result[name] = {
        "logits": [round(v, 6) for v in logits.flatten().tolist()], "logits_from_float32": (logits - exact_logits).norm().item(),
        "loss": loss.item(), "loss_from_float32": abs(loss - exact_loss).item(),
        "gradients": {n: {"norm": g.norm().item(), "sum": g.sum().item(), "first": g.flatten()[:8].tolist(),
                          "distance_from_float32": (g - exact_grads[n]).norm().item()} for n, g in grads.items()},
    }
json.dump(result, sys.stdout, indent=1)
print()
