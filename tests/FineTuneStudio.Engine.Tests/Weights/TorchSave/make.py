"""Writes the checkpoints of this folder with real PyTorch (made with 1.13): python3 make.py"""
import json
import torch

torch.manual_seed(0)
table = torch.arange(12, dtype=torch.float32).reshape(3, 4)
state = torch.nn.Linear(2, 3).state_dict()  # an OrderedDict with _metadata
state["parameter"] = torch.nn.Parameter(torch.tensor([1.5, -2.0]))
state["tied.a"] = table
state["tied.b"] = table
state["transposed"] = table.t()
state["part"] = table[1:, 1:3]
state["bf16"] = torch.tensor([[1.0, -0.5]], dtype=torch.bfloat16)
state["f16"] = torch.tensor([0.25, 65504.0], dtype=torch.float16)
state["f64"] = torch.tensor([1e300], dtype=torch.float64)
state["i64"] = torch.tensor([-(2 ** 62), 7])
state["bool"] = torch.tensor([True, False])
state["scalar"] = torch.tensor(3.0)
state["empty"] = torch.zeros(0, 5)
torch.save(state, "pytorch_model.bin")
json.dump({name: {"shape": list(t.shape), "values": t.double().reshape(-1).tolist() if t.dtype != torch.int64 else t.reshape(-1).tolist()} for name, t in state.items()}, open("expected.json", "w"))

torch.save({"a": torch.ones(1)}, "older.pt", _use_new_zipfile_serialization=False)
torch.save({"epoch": 3, "model": {"a": torch.ones(1)}}, "nested.pt")
torch.save({"a": torch.ones(1), "metrics": [0.1, 0.2]}, "mixed.pt")
torch.save(torch.nn.Linear(1, 1), "module.pt")
torch.save({"a": torch.zeros(1).expand(10)}, "expanded.pt")
torch.jit.script(torch.nn.Linear(1, 1)).save("script.pt")
