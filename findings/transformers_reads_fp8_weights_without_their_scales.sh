#!/usr/bin/env bash
# transformers 5.23.0: a checkpoint whose quant_method it does not know is loaded as if it were not quantized.
#
# An export in FP8 keeps every weight divided by a scale, and the scale in a tensor beside it (weight_scale); config.json
# says so under quantization_config. transformers knows no quant_method "modelopt": it casts the FP8 values to the dtype asked
# for and leaves the scales out. The model answers, and is another one. An acceptance length measured on it is that of a
# broken target or drafter.
#
# Seen: the weight is loaded without its scale, 64 times too large here. Fails once the load is refused or the scale used.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 safetensors==0.8.0 numpy
cat > "$work/show.py" <<'PY'
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file

folder = pathlib.Path(sys.argv[1])
config = transformers.LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2
)
torch.manual_seed(0)
true = transformers.LlamaForCausalLM(config)
true.save_pretrained(folder)
tensors = load_file(folder / "model.safetensors")
name = "model.layers.0.mlp.up_proj.weight"
scale = torch.tensor(1 / 64)
tensors[name.replace("weight", "weight_scale")] = scale
tensors[name] = (tensors[name] / scale).to(torch.float8_e4m3fn)
save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
stated = json.loads((folder / "config.json").read_text())
stated["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "FP8"}
(folder / "config.json").write_text(json.dumps(stated))
loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
got, wanted = loaded.state_dict()[name].float(), true.state_dict()[name]
times = float(got.norm() / wanted.norm())
print(f"transformers {transformers.__version__}: the loaded weight is {times:.1f} times the true one")
sys.exit(0 if 60 < times < 68 else 1)
PY
HF_HUB_OFFLINE=1 "$work/env/bin/python" "$work/show.py" "$work/model" 2>"$work/log" || { cat "$work/log"; echo "this has changed"; exit 1; }
