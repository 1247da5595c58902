#!/usr/bin/env python3
"""Writes tests/data/modules/quantised.json.gz: small pre-quantised checkpoints as Transformers loads them.

usage: make_quantised_vectors.py OUT    (needs transformers, torch, bitsandbytes, compressed-tensors, optimum, gptqmodel)

No GPU, no download. For every case a small checkpoint is made with the package that owns the format (bitsandbytes,
compressed-tensors), from the modules it builds (gptqmodel) or by its layout (fp8), and loaded on the CPU in bfloat16. Recorded: the config, the tensors stored (name, safetensors dtype,
shape), and what is resident afterwards (parameters, persistent buffers, and what a bitsandbytes weight keeps beside it).
Run by hand; the file says which versions it is from.
"""
import gzip
import io
import json
import os
import sys
import tempfile
import warnings

os.environ["TOKENIZERS_PARALLELISM"] = "false"
warnings.simplefilter("ignore")

import bitsandbytes
import compressed_tensors
import gptqmodel
import torch
import transformers
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.quantizers.auto import AutoHfQuantizer, AutoQuantizationConfig
from transformers.quantizers.quantizer_awq import AwqQuantizer
from transformers.quantizers.quantizer_finegrained_fp8 import FineGrainedFP8HfQuantizer
from transformers.quantizers.quantizer_gptq import GptqHfQuantizer

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

LLAMA = dict(model_type="llama", vocab_size=131, hidden_size=256, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=64)
QWEN_MOE = dict(model_type="qwen3_moe", vocab_size=131, hidden_size=256, intermediate_size=384, num_hidden_layers=2,
                num_attention_heads=4, num_key_value_heads=2, head_dim=64, num_experts=3, num_experts_per_tok=2,
                moe_intermediate_size=128, mlp_only_layers=[1])
MIXTRAL = dict(LLAMA, model_type="mixtral", num_local_experts=3)
DEEPSEEK_3 = dict(model_type="deepseek_v3", vocab_size=131, hidden_size=256, intermediate_size=384, num_hidden_layers=2,
                  num_attention_heads=4, num_key_value_heads=4, kv_lora_rank=448, q_lora_rank=128, qk_nope_head_dim=64,
                  qk_rope_head_dim=64, v_head_dim=64, n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=2,
                  moe_intermediate_size=128, first_k_dense_replace=1, n_group=2, topk_group=1)
DEEPSEEK_2 = dict(DEEPSEEK_3, model_type="deepseek_v2")


def plain_model(config):
    torch.manual_seed(0)
    parsed = CONFIG_MAPPING[config["model_type"]].from_dict(json.loads(json.dumps(config)))
    return AutoModelForCausalLM.from_config(parsed, dtype=torch.bfloat16)


def plain_tensors(model):
    """What save_pretrained would store of it, ties once."""
    once = {n: t for n, t in model.state_dict().items() if n not in model.all_tied_weights_keys}
    stored = revert_weight_conversion(model, once)
    # published checkpoints hold it in float32
    return {n: t.float() if n.endswith("e_score_correction_bias") else t.contiguous() for n, t in stored.items()}


def write_folder(folder, config, tensors, quantisation, dtype="bfloat16"):
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(dict(config, torch_dtype=dtype, quantization_config=quantisation), file)
    save_file({n: t.contiguous().clone() for n, t in tensors.items()}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def stored_tensors(folder):
    with safe_open(os.path.join(folder, "model.safetensors"), framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}
        return [[name, s.get_dtype(), list(s.get_shape())] for name, s in sorted(slices.items())]


def bitsandbytes_parts(name, parameter):
    """A four- or eight-bit weight keeps more than its data."""
    state = getattr(parameter, "quant_state", None)
    if state is not None:
        yield name + ".absmax", state.absmax
        yield name + ".quant_map", state.code
        if state.nested:
            yield name + ".nested_absmax", state.state2.absmax
            yield name + ".nested_quant_map", state.state2.code
    if getattr(parameter, "SCB", None) is not None:
        yield name.removesuffix("weight") + "SCB", parameter.SCB


def resident_tensors(model):
    out = []
    for name, parameter in model.named_parameters():
        parts = [(name, parameter.data)] + list(bitsandbytes_parts(name, parameter))
        out += [[n, str(t.dtype).removeprefix("torch."), list(t.shape)] for n, t in parts]
    kept = set(model.state_dict().keys())
    out += [[n, str(b.dtype).removeprefix("torch."), list(b.shape)] for n, b in model.named_buffers() if n in kept]
    return out


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map="cpu")


def record(name, folder):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    return dict(name=name, config=json.dumps(config), stored=stored_tensors(folder), resident=resident_tensors(load(folder)))


# ---- bitsandbytes: quantised by itself, saved, loaded again ----


def bnb_case(name, config, **options):
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        plain_model(config).save_pretrained(first)
        wanted = BitsAndBytesConfig(bnb_4bit_compute_dtype=torch.bfloat16, **options)
        model = AutoModelForCausalLM.from_pretrained(first, dtype=torch.bfloat16, device_map="cpu", quantization_config=wanted)
        model.save_pretrained(second)
        return record(name, second)


# ---- compressed-tensors: compressed by the package's own compressors ----


def weights(**change):
    return dict(dict(num_bits=4, type="int", symmetric=True, strategy="group", group_size=128, dynamic=False, actorder=None,
                     block_structure=None, observer="minmax", observer_kwargs={}), **change)


def tokens(**change):
    return weights(**dict(dict(num_bits=8, strategy="token", group_size=None, dynamic=True, observer=None), **change))


def ct_case(name, config, form, scheme, inputs=None, ignore=("lm_head",), targets=("Linear",)):
    quantisation = dict(quant_method="compressed-tensors", format=form, ignore=list(ignore), kv_cache_scheme=None,
                        quantization_status="compressed", global_compression_ratio=None,
                        config_groups=dict(group_0=dict(targets=list(targets), weights=scheme, input_activations=inputs,
                                                        output_activations=None)))
    model = plain_model(config)
    parsed = QuantizationConfig.model_validate(dict(quantisation, quantization_status="initialized"))
    apply_quantization_config(model, parsed, show_progress=False)
    for n, p in model.named_parameters():
        if "scale" in n:
            p.data.fill_(1)
    ModelCompressor(quantization_config=parsed).compress_model(model)
    with tempfile.TemporaryDirectory() as folder:
        write_folder(folder, config, plain_tensors(model), quantisation)
        return record(name, folder)


# ---- gptq, awq: what the modules of gptqmodel hold before a kernel repacks them ----


def gptq_case(name, config, **quantisation):
    model = plain_model(config).to("meta")
    quantizer = AutoHfQuantizer.from_config(AutoQuantizationConfig.from_dict(dict(quantisation)), pre_quantized=True)
    model.hf_quantizer = quantizer
    with torch.device("meta"):
        quantizer.preprocess_model(model, device_map={"": "cpu"})
    tensors = {n: torch.zeros(t.shape, dtype=torch.float16 if t.is_floating_point() else t.dtype)
               for n, t in model.state_dict().items() if n not in model.all_tied_weights_keys}
    with tempfile.TemporaryDirectory() as folder:
        write_folder(folder, config, tensors, quantisation, "float16")
        return record(name, folder)


# ---- fp8: blocks of F8_E4M3 with a scale each ----


def quantise_fp8(tensors, is_wanted, block, is_static):
    out = {}
    for name, tensor in tensors.items():
        if not (name.endswith(".weight") and tensor.ndim == 2 and is_wanted(name.removesuffix(".weight"))):
            out[name] = tensor
            continue
        out[name] = tensor.to(torch.float8_e4m3fn)
        shape = [] if block is None else [-(-tensor.shape[0] // block[0]), -(-tensor.shape[1] // block[1])]
        out[name + "_scale_inv"] = torch.ones(shape)
        if is_static:
            out[name.removesuffix("weight") + "activation_scale"] = torch.ones([])
    return out


def fp8_case(name, config, skip=None, block=(128, 128), is_static=False):
    quantisation = dict(quant_method="fp8", fmt="e4m3", activation_scheme="static" if is_static else "dynamic",
                        weight_block_size=None if block is None else list(block))
    if skip is not None:
        quantisation["modules_to_not_convert"] = skip
    plain = ["lm_head", "embed_tokens", "mlp.gate", "block_sparse_moe.gate"] if skip is None else skip + ["embed_tokens", "mlp.gate"]
    tensors = quantise_fp8(plain_tensors(plain_model(config)), lambda n: not any(n.endswith(p) for p in plain), block, is_static)
    with tempfile.TemporaryDirectory() as folder:
        write_folder(folder, config, tensors, quantisation)
        return record(name, folder)


# ---- experts that were quantised one by one (by Transformers 4 and other tools): what is left of them on load ----


def packed_pieces(method, name, weight):
    rows, columns = weight.shape
    module = name.removesuffix("weight")
    if method == "int4":
        return {module + "weight_packed": torch.zeros(rows, columns // 8, dtype=torch.int32),
                module + "weight_scale": torch.zeros(rows, columns // 128, dtype=torch.bfloat16),
                module + "weight_shape": torch.tensor([rows, columns])}
    if method == "fp8":
        return {name: weight.to(torch.float8_e4m3fn), module + "weight_scale": torch.zeros(rows, 1, dtype=torch.bfloat16)}
    if method == "gptq":
        return {module + "qweight": torch.zeros(columns // 8, rows, dtype=torch.int32),
                module + "qzeros": torch.zeros(columns // 128, rows // 8, dtype=torch.int32),
                module + "scales": torch.zeros(columns // 128, rows, dtype=torch.float16),
                module + "g_idx": torch.zeros(columns, dtype=torch.int32)}
    if method == "awq":
        return {module + "qweight": torch.zeros(columns, rows // 8, dtype=torch.int32),
                module + "qzeros": torch.zeros(columns // 128, rows // 8, dtype=torch.int32),
                module + "scales": torch.zeros(columns // 128, rows, dtype=torch.float16)}
    if method == "nf4":
        data, state = bitsandbytes.functional.quantize_4bit(weight, quant_type="nf4")
        return {name: data, **{f"{name}.{key}": value for key, value in state.as_dict(packed=True).items()}}
    assert method == "int8"
    return {name: weight.to(torch.int8), module + "SCB": torch.zeros(rows), module + "weight_format": torch.zeros((), dtype=torch.uint8)}


def apart_case(method, config, quantisation):
    stored = {}
    for name, tensor in plain_tensors(plain_model(config)).items():
        is_wanted = tensor.ndim == 2 and not any(word in name for word in ("embed", "lm_head", "gate.weight"))
        stored.update(packed_pieces(method, name, tensor) if is_wanted else {name: tensor})
    with tempfile.TemporaryDirectory() as folder:
        write_folder(folder, config, stored, quantisation)
        return record(f"experts apart, {method} {config['model_type']}", folder)


def cases():
    row = dict(strategy="channel", group_size=None)
    whole = dict(strategy="tensor", group_size=None)
    biased = dict(LLAMA, attention_bias=True)
    tied = dict(LLAMA, tie_word_embeddings=True)
    four = dict(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    yield bnb_case("bnb nf4", LLAMA, **four)
    yield bnb_case("bnb nf4 double", biased, bnb_4bit_use_double_quant=True, **four)
    yield bnb_case("bnb nf4 tied", tied, bnb_4bit_use_double_quant=True, **four)
    yield bnb_case("bnb fp4", LLAMA, load_in_4bit=True, bnb_4bit_quant_type="fp4")
    yield bnb_case("bnb nf4 skip", LLAMA, llm_int8_skip_modules=["lm_head", "model.layers.1", "down_proj"], **four)
    yield bnb_case("bnb nf4 deepseek_v2, dense", dict(DEEPSEEK_2, first_k_dense_replace=2), **four)
    yield bnb_case("bnb int8", biased, load_in_8bit=True)
    yield bnb_case("bnb int8 skip", LLAMA, load_in_8bit=True, llm_int8_skip_modules=["o_proj"])
    ct = ct_case
    yield ct("ct int4 group", LLAMA, "pack-quantized", weights())
    yield ct("ct int4 group, bias", biased, "pack-quantized", weights())
    yield ct("ct int4 asymmetric", LLAMA, "pack-quantized", weights(symmetric=False))
    yield ct("ct int4 channel", LLAMA, "pack-quantized", weights(**row))
    yield ct("ct int4 odd group", LLAMA, "pack-quantized", weights(group_size=32))
    yield ct("ct int8 packed", LLAMA, "pack-quantized", weights(num_bits=8, **row))
    yield ct("ct int8 dynamic", biased, "int-quantized", weights(num_bits=8, **row), tokens())
    yield ct("ct int8 static", LLAMA, "int-quantized", weights(num_bits=8, **whole), weights(num_bits=8, **whole))
    yield ct("ct fp8 static", LLAMA, "float-quantized", weights(num_bits=8, type="float", **whole), weights(num_bits=8, type="float", **whole))
    yield ct("ct fp8 dynamic", biased, "float-quantized", weights(num_bits=8, type="float", **row), tokens(type="float"))
    yield ct("ct fp8 block", LLAMA, "float-quantized", weights(num_bits=8, type="float", strategy="block", group_size=None, block_structure=[128, 128]),
             tokens(type="float", strategy="group", group_size=128))
    small = dict(type="float", strategy="tensor_group", group_size=16)
    yield ct("ct nvfp4", LLAMA, "nvfp4-pack-quantized", weights(**small), weights(dynamic="local", **small))
    yield ct("ct nvfp4 weights", biased, "nvfp4-pack-quantized", weights(**small))
    micro = dict(type="float", group_size=32, scale_dtype="torch.uint8", zp_dtype="torch.uint8")
    yield ct("ct mxfp4", LLAMA, "mxfp4-pack-quantized", weights(**micro), weights(**dict(micro, dynamic=True, observer=None)))
    yield ct("ct mxfp4 weights", biased, "mxfp4-pack-quantized", weights(**micro))
    yield ct("ct ignore", LLAMA, "pack-quantized", weights(), ignore=["lm_head", "re:.*layers\\.1\\.mlp.*", "model.layers.0.self_attn.k_proj"])
    yield ct("ct targets", LLAMA, "pack-quantized", weights(), targets=["re:.*self_attn.*"], ignore=[])
    yield ct("ct head too", LLAMA, "pack-quantized", weights(), ignore=[])
    for quantizer in (GptqHfQuantizer, AwqQuantizer):
        quantizer.validate_environment = lambda self, *args, **kwargs: None
        quantizer._process_model_after_weight_loading = lambda self, model, **kwargs: model  # keep what was loaded
    gptq = dict(quant_method="gptq", bits=4, group_size=128, desc_act=False, sym=True)
    yield gptq_case("gptq", LLAMA, **gptq)
    yield gptq_case("gptq, bias", biased, **gptq)
    yield gptq_case("gptq tied", tied, **gptq)
    yield gptq_case("gptq groups of 32", LLAMA, **dict(gptq, group_size=32, desc_act=True))
    yield gptq_case("gptq one group", LLAMA, **dict(gptq, group_size=-1))
    yield gptq_case("gptq 8 bit", LLAMA, **dict(gptq, bits=8))
    yield gptq_case("gptq some modules", LLAMA, **dict(gptq, modules_in_block_to_quantize=[["self_attn.q_proj", "self_attn.o_proj"], ["mlp.up_proj"]]))
    awq = dict(quant_method="awq", bits=4, group_size=128, zero_point=True, version="gemm", modules_to_not_convert=None)
    yield gptq_case("awq", LLAMA, **awq)
    yield gptq_case("awq, bias", biased, **awq)
    yield gptq_case("awq groups of 64", tied, **dict(awq, group_size=64))
    yield gptq_case("awq skip", LLAMA, **dict(awq, modules_to_not_convert=["down_proj", "model.layers.1"]))
    packed = dict(quant_method="compressed-tensors", ignore=["lm_head", "re:.*mlp.gate$"], quantization_status="compressed")
    groups = lambda **group: dict(config_groups=dict(group_0=dict(targets=["Linear"], **group)))
    for config in (QWEN_MOE, MIXTRAL):
        yield apart_case("int4", config, dict(packed, format="pack-quantized", **groups(weights=weights())))
        yield apart_case("fp8", config, dict(packed, format="float-quantized", **groups(
            weights=weights(num_bits=8, type="float", **row), input_activations=tokens(type="float"))))
        yield apart_case("gptq", config, gptq)
        yield apart_case("awq", config, awq)
        yield apart_case("nf4", config, dict(quant_method="bitsandbytes", **four))
        yield apart_case("int8", config, dict(quant_method="bitsandbytes", load_in_8bit=True))
    FineGrainedFP8HfQuantizer.validate_environment = lambda self, *args, **kwargs: None  # as on a card that has fp8
    yield fp8_case("fp8", LLAMA)
    yield fp8_case("fp8, bias", biased)
    yield fp8_case("fp8 tied", tied)
    yield fp8_case("fp8 skip", LLAMA, skip=["lm_head", "model.layers.0.mlp.down_proj"])
    yield fp8_case("fp8 one scale, static", LLAMA, block=None, is_static=True)
    yield fp8_case("fp8 small blocks", LLAMA, block=(64, 32))
    yield fp8_case("fp8 odd sizes", dict(LLAMA, hidden_size=200, intermediate_size=300))
    yield fp8_case("fp8 mixtral", MIXTRAL)
    yield fp8_case("fp8 qwen3_moe", QWEN_MOE)
    yield fp8_case("fp8 deepseek_v3", DEEPSEEK_3)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip().splitlines()[2])
    built = list(cases())
    about = (f"Transformers {transformers.__version__}, bitsandbytes {bitsandbytes.__version__}, compressed-tensors "
             f"{compressed_tensors.__version__}, gptqmodel {gptqmodel.__version__}, by tests/tools/make_quantised_vectors.py; {len(built)} checkpoints")
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in built)
    text = '{"about":' + json.dumps(about) + ',"cases":[\n' + lines + "\n]}\n"
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as out:
        out.write(text.encode())
    with open(sys.argv[1], "wb") as file:
        file.write(raw.getvalue())
    print(f"{about}; {len(text)} bytes, {len(raw.getvalue())} compressed")


main()
