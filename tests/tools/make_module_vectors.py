#!/usr/bin/env python3
"""Writes tests/data/modules/vectors.json.gz: what Transformers builds for many small and odd configs.

usage: make_module_vectors.py OUT        (needs the packages transformers and torch; no GPU, no download)

For every case: the config as a config.json would have it, the class that AutoModelForCausalLM picks, its parameters
(named_parameters: ties once), its buffers with the dtype they have after a load in bfloat16, ties, no-split classes
that occur in the model, and, where it differs from the parameters, what save_pretrained would store. Models are built
on the meta device, so the sizes need not be sensible. Run by hand when a family or the version of Transformers changes;
the file says which version it is from. The output is the same, byte for byte, for the same version.
"""
import gzip
import io
import json
import sys
import warnings

import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()

# Numbers that no two of which can be mistaken for one another.
DENSE = dict(vocab_size=131, hidden_size=96, intermediate_size=136, num_hidden_layers=2, num_attention_heads=6)
NO_KEY = object()
# What every config has, for sizes that go with the class defaults of the rest.
ROUND = dict(vocab_size=131, hidden_size=128, intermediate_size=136, num_hidden_layers=2, num_attention_heads=32)
KV_2 = dict(num_key_value_heads=2)


def merge(*parts):
    out = {}
    for part in parts:
        out.update(part)
    return {key: value for key, value in out.items() if value is not NO_KEY}


def dense_cases(model_type, base, variants):
    return [(f"{model_type} {name}", merge(dict(model_type=model_type), base, change)) for name, change in variants]


TIES = [
    ("plain", {}),
    ("tied", dict(tie_word_embeddings=True)),
    ("untied", dict(tie_word_embeddings=False)),
]
KV = [
    ("kv 1", dict(num_key_value_heads=1)),
    ("kv 3", dict(num_key_value_heads=3)),
    ("kv all", dict(num_key_value_heads=6)),
    ("kv null", dict(num_key_value_heads=None)),
]
HEAD_DIM = [("head_dim 20", dict(head_dim=20)), ("head_dim 20, kv 2, tied", dict(head_dim=20, num_key_value_heads=2, tie_word_embeddings=True))]


def llama_like():
    cases = []
    cases += dense_cases("llama", DENSE, TIES + KV + HEAD_DIM + [
        ("head_dim null", dict(head_dim=None)),
        ("attention_bias", dict(attention_bias=True, num_key_value_heads=2)),
        ("mlp_bias", dict(mlp_bias=True)),
        ("both biases, tied", dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
        ("rope scaling", dict(rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                original_max_position_embeddings=8192))),
        ("one layer", dict(num_hidden_layers=1)),
    ])
    cases.append(("llama defaults", merge(ROUND, dict(model_type="llama"))))
    cases += dense_cases("mistral", merge(DENSE, KV_2), TIES + KV[:3] + HEAD_DIM + [
        ("head_dim null", dict(head_dim=None, num_key_value_heads=2)),
        ("no window", dict(sliding_window=None)),
    ])
    cases.append(("mistral defaults", merge(ROUND, dict(model_type="mistral"))))
    cases += dense_cases("qwen2", merge(DENSE, KV_2), TIES + KV + [
        ("head_dim 20", dict(head_dim=20, num_key_value_heads=2)),
        ("windows", dict(use_sliding_window=True, sliding_window=64, max_window_layers=1, num_key_value_heads=2)),
        ("layer_types", dict(layer_types=["full_attention", "sliding_attention"], num_key_value_heads=2)),
    ])
    cases.append(("qwen2 defaults", merge(ROUND, dict(model_type="qwen2"))))
    cases += dense_cases("qwen3", merge(DENSE, KV_2), TIES + KV + HEAD_DIM + [
        ("attention_bias", dict(attention_bias=True, num_key_value_heads=2)),
    ])
    cases.append(("qwen3 defaults", merge(ROUND, dict(model_type="qwen3"))))
    cases += dense_cases("granite", DENSE, TIES + KV + [
        ("head_dim 20", dict(head_dim=20)),
        ("both biases", dict(attention_bias=True, mlp_bias=True, num_key_value_heads=2)),
    ])
    cases.append(("granite defaults", merge(ROUND, dict(model_type="granite"))))
    phi3 = merge(DENSE, dict(pad_token_id=0))
    cases += dense_cases("phi3", phi3, TIES + KV + [
        ("head_dim 20", dict(head_dim=20, num_key_value_heads=2)),
        ("partial rotary", dict(partial_rotary_factor=0.75, num_key_value_heads=2)),
    ])
    cases.append(("phi3 defaults", merge(ROUND, dict(model_type="phi3", pad_token_id=0))))
    return cases


def gemma_like():
    text = merge(DENSE, dict(head_dim=24, num_key_value_heads=2))
    vision = dict(hidden_size=72, intermediate_size=104, num_hidden_layers=2, num_attention_heads=4, image_size=28, patch_size=7,
                  model_type="siglip_vision_model")
    cases = dense_cases("gemma2", text, TIES + [
        ("attention_bias", dict(attention_bias=True)),
        ("no head_dim", dict(head_dim=NO_KEY)),
        ("no kv", dict(num_key_value_heads=NO_KEY, num_attention_heads=8)),
        ("three layers", dict(num_hidden_layers=3)),
    ])
    cases.append(("gemma2 defaults", merge(ROUND, dict(model_type="gemma2"))))
    cases += dense_cases("gemma3_text", text, TIES + [
        ("attention_bias", dict(attention_bias=True)),
        ("no head_dim", dict(head_dim=NO_KEY)),
        ("pattern 2", dict(sliding_window_pattern=2, num_hidden_layers=4)),
        ("all sliding", dict(layer_types=["sliding_attention", "sliding_attention"])),
        ("all full", dict(layer_types=["full_attention", "full_attention"])),
        ("seven layers", dict(num_hidden_layers=7)),
    ])
    cases.append(("gemma3_text defaults", dict(model_type="gemma3_text", num_hidden_layers=2)))
    inner = merge(text, dict(model_type="gemma3_text"))
    whole = lambda t, v, **top: merge(dict(model_type="gemma3", text_config=t, vision_config=v, mm_tokens_per_image=4), top)
    cases += [
        ("gemma3 plain", whole(inner, vision)),
        ("gemma3 tied", whole(inner, vision, tie_word_embeddings=True)),
        ("gemma3 untied", whole(inner, vision, tie_word_embeddings=False)),
        ("gemma3 text untied", whole(merge(inner, dict(tie_word_embeddings=False)), vision)),
        ("gemma3 one tower layer", whole(inner, merge(vision, dict(num_hidden_layers=1, num_channels=1)))),
        ("gemma3 no tower head", whole(inner, merge(vision, dict(vision_use_head=False)))),
        ("gemma3 text defaults", whole(dict(model_type="gemma3_text", num_hidden_layers=2), vision)),
        ("gemma3 vision defaults", whole(inner, dict(model_type="siglip_vision_model", num_hidden_layers=2))),
    ]
    return cases


def older():
    cases = dense_cases("starcoder2", merge(DENSE, dict(bos_token_id=0, eos_token_id=0)), TIES + KV[:3] + [
        ("no bias", dict(use_bias=False, num_key_value_heads=2)),
        ("head_dim 20", dict(head_dim=20, num_key_value_heads=2)),
    ])
    cases.append(("starcoder2 defaults", merge(ROUND, dict(model_type="starcoder2", bos_token_id=0, eos_token_id=0))))
    falcon = dict(vocab_size=131, hidden_size=96, num_hidden_layers=2, num_attention_heads=6)
    seven = dict(multi_query=True, parallel_attn=True, new_decoder_architecture=False)
    forty = dict(new_decoder_architecture=True, num_kv_heads=2)
    cases += dense_cases("falcon", falcon, [
        ("7b", seven),
        ("7b untied", merge(seven, dict(tie_word_embeddings=False))),
        ("7b bias", merge(seven, dict(bias=True))),
        ("7b not parallel", merge(seven, dict(parallel_attn=False))),
        ("7b not parallel, bias", merge(seven, dict(parallel_attn=False, bias=True))),
        ("40b", forty),
        ("40b bias", merge(forty, dict(bias=True))),
        ("40b kv all", dict(new_decoder_architecture=True)),
        ("40b one norm", merge(forty, dict(num_ln_in_parallel_attn=1))),
        ("40b two norms", merge(forty, dict(num_ln_in_parallel_attn=2))),
        ("40b not parallel", merge(forty, dict(parallel_attn=False))),
        ("1b", dict(multi_query=False, alibi=True, bias=True, parallel_attn=False)),
        ("no multi_query", dict(multi_query=False)),
        ("alibi", dict(alibi=True)),
        ("n_embed", merge(seven, dict(hidden_size=NO_KEY, n_embed=96))),
        ("ffn_hidden_size", merge(seven, dict(ffn_hidden_size=200))),
    ])
    cases.append(("falcon defaults", dict(model_type="falcon", vocab_size=131, hidden_size=128, num_hidden_layers=2, num_attention_heads=32)))
    bloom = dict(vocab_size=131, hidden_size=96, n_layer=2, n_head=6)
    cases += dense_cases("bloom", bloom, TIES + [
        ("n_embed", dict(hidden_size=NO_KEY, n_embed=96)),
        ("long names", dict(n_layer=NO_KEY, n_head=NO_KEY, num_hidden_layers=3, num_attention_heads=6)),
    ])
    cases.append(("bloom defaults", dict(model_type="bloom", vocab_size=131, hidden_size=96, n_layer=3, n_head=6)))
    opt = dict(vocab_size=131, hidden_size=96, num_hidden_layers=2, num_attention_heads=6, ffn_dim=136, max_position_embeddings=50)
    cases += dense_cases("opt", opt, TIES + [
        ("350m", dict(word_embed_proj_dim=40, do_layer_norm_before=False)),
        ("projected", dict(word_embed_proj_dim=40)),
        ("projected untied", dict(word_embed_proj_dim=40, tie_word_embeddings=False)),
        ("norm after", dict(do_layer_norm_before=False)),
        ("no final norm", dict(_remove_final_layer_norm=True)),
        ("no bias", dict(enable_bias=False)),
        ("plain norms", dict(layer_norm_elementwise_affine=False)),
        ("same projection", dict(word_embed_proj_dim=96)),
    ])
    cases.append(("opt defaults", dict(model_type="opt", vocab_size=131, hidden_size=96, num_hidden_layers=2, num_attention_heads=6, ffn_dim=136)))
    gptj = dict(vocab_size=131, n_embd=96, n_layer=2, n_head=6, rotary_dim=8, n_positions=40)
    cases += dense_cases("gptj", gptj, TIES + [
        ("n_inner", dict(n_inner=200)),
        ("n_inner null", dict(n_inner=None)),
        ("long names", dict(n_embd=NO_KEY, n_layer=NO_KEY, n_head=NO_KEY, hidden_size=96, num_hidden_layers=3, num_attention_heads=6)),
    ])
    cases.append(("gptj defaults", dict(model_type="gptj", vocab_size=131, n_embd=1024, n_layer=2, n_head=4)))
    cases += dense_cases("gpt_neox", DENSE, TIES + [
        ("no attention_bias", dict(attention_bias=False)),
        ("rotary_pct", dict(rotary_pct=0.5)),
    ])
    cases.append(("gpt_neox defaults", merge(ROUND, dict(model_type="gpt_neox"))))
    return cases


def experts():
    cases = dense_cases("mixtral", merge(DENSE, dict(num_key_value_heads=2, num_local_experts=3)), TIES + KV[:3] + HEAD_DIM + [
        ("head_dim null", dict(head_dim=None)),
        ("num_experts", dict(num_local_experts=NO_KEY, num_experts=5)),
    ])
    cases.append(("mixtral defaults", merge(ROUND, dict(model_type="mixtral", num_local_experts=3))))
    qwen = merge(DENSE, dict(num_key_value_heads=2, num_experts=3, moe_intermediate_size=56, num_experts_per_tok=2))
    cases += dense_cases("qwen3_moe", qwen, TIES + KV[:3] + HEAD_DIM + [
        ("attention_bias", dict(attention_bias=True)),
        ("mlp_only_layers", dict(num_hidden_layers=4, mlp_only_layers=[0, 2])),
        ("mlp_only_layers null", dict(mlp_only_layers=None)),
        ("step 2", dict(num_hidden_layers=4, decoder_sparse_step=2)),
        ("step 3, one dense", dict(num_hidden_layers=4, decoder_sparse_step=3, mlp_only_layers=[2])),
        ("all dense", dict(mlp_only_layers=[0, 1])),
        ("num_local_experts", dict(num_experts=NO_KEY, num_local_experts=5)),
    ])
    cases.append(("qwen3_moe defaults", merge(ROUND, dict(model_type="qwen3_moe", num_experts=3, num_experts_per_tok=2, moe_intermediate_size=56))))
    olmoe = merge(DENSE, dict(num_experts=3, num_experts_per_tok=2, pad_token_id=1))
    cases += dense_cases("olmoe", olmoe, TIES + KV + [
        ("attention_bias", dict(attention_bias=True, num_key_value_heads=2)),
        ("head_dim 20", dict(head_dim=20, num_key_value_heads=2)),
        ("num_local_experts", dict(num_experts=NO_KEY, num_local_experts=5)),
    ])
    cases.append(("olmoe defaults", merge(ROUND, dict(model_type="olmoe", num_experts=3, num_experts_per_tok=2, pad_token_id=1))))
    return cases


def latent():
    dims = merge(DENSE, dict(num_hidden_layers=3, num_key_value_heads=6, kv_lora_rank=40, q_lora_rank=48, qk_nope_head_dim=16,
                             qk_rope_head_dim=8, v_head_dim=20, n_routed_experts=4, n_shared_experts=2, num_experts_per_tok=2,
                             moe_intermediate_size=56, first_k_dense_replace=1, n_group=2, topk_group=1))
    shared = TIES + [
        ("no q_lora", dict(q_lora_rank=None)),
        ("all sparse", dict(first_k_dense_replace=0)),
        ("all dense", dict(first_k_dense_replace=3)),
        ("beyond the last", dict(first_k_dense_replace=9)),
        ("attention_bias", dict(attention_bias=True)),
        ("attention_bias, no q_lora", dict(attention_bias=True, q_lora_rank=None)),
        ("one shared", dict(n_shared_experts=1)),
        ("mtp", dict(num_nextn_predict_layers=1)),
        ("no head_dim, kv", dict(num_key_value_heads=NO_KEY)),
    ]
    cases = dense_cases("deepseek_v2", dims, shared + [
        ("mlp_bias", dict(mlp_bias=True)),
        ("lite", dict(q_lora_rank=None, topk_method="greedy", first_k_dense_replace=1)),
    ])
    cases.append(("deepseek_v2 defaults", merge(ROUND, dict(model_type="deepseek_v2", n_routed_experts=3, moe_intermediate_size=56, num_experts_per_tok=2))))
    cases += dense_cases("deepseek_v3", dims, shared)
    cases += dense_cases("deepseek_v3", dims, [("num_local_experts", dict(n_routed_experts=NO_KEY, num_local_experts=6))])
    cases.append(("deepseek_v3 defaults", merge(ROUND, dict(model_type="deepseek_v3", num_hidden_layers=4, num_attention_heads=128, n_routed_experts=8,
                                                             moe_intermediate_size=56))))
    glm = merge(DENSE, dict(num_hidden_layers=3, num_key_value_heads=2, n_routed_experts=4, n_shared_experts=2, num_experts_per_tok=2,
                            moe_intermediate_size=56, first_k_dense_replace=1, n_group=1, topk_group=1))
    cases += dense_cases("glm4_moe", glm, TIES + KV[:3] + [
        ("use_qk_norm", dict(use_qk_norm=True)),
        ("use_qk_norm, bias", dict(use_qk_norm=True, attention_bias=True, head_dim=20)),
        ("attention_bias", dict(attention_bias=True)),
        ("head_dim 20", dict(head_dim=20)),
        ("all sparse", dict(first_k_dense_replace=0)),
        ("all dense", dict(first_k_dense_replace=3)),
        ("mtp", dict(num_nextn_predict_layers=1)),
        ("partial rotary", dict(partial_rotary_factor=0.25, head_dim=32)),
    ])
    cases.append(("glm4_moe defaults", merge(ROUND, dict(model_type="glm4_moe", n_routed_experts=3, num_experts_per_tok=2, moe_intermediate_size=56))))
    return cases


def newest():
    dims = merge(DENSE, dict(num_hidden_layers=4, num_key_value_heads=2, head_dim=24, num_experts=3, num_experts_per_tok=2,
                             moe_intermediate_size=56, shared_expert_intermediate_size=72, linear_num_key_heads=3,
                             linear_num_value_heads=6, linear_key_head_dim=10, linear_value_head_dim=14, linear_conv_kernel_dim=3))
    cases = dense_cases("qwen3_next", dims, TIES + [
        ("attention_bias", dict(attention_bias=True)),
        ("no head_dim", dict(head_dim=NO_KEY)),
        ("mlp_only_layers", dict(mlp_only_layers=[1, 3])),
        ("step 2", dict(decoder_sparse_step=2)),
        ("interval 2", dict(full_attention_interval=2)),
        ("layer_types", dict(layer_types=["full_attention", "linear_attention", "full_attention", "linear_attention"])),
        ("all full", dict(layer_types=["full_attention"] * 4)),
    ])
    cases.append(("qwen3_next defaults", merge(ROUND, dict(model_type="qwen3_next", num_hidden_layers=4, num_experts=3, num_experts_per_tok=2,
                                                           moe_intermediate_size=56))))
    text = merge(DENSE, dict(model_type="llama4_text", num_hidden_layers=4, num_key_value_heads=2, head_dim=20, num_local_experts=3,
                             intermediate_size_mlp=152, pad_token_id=0))
    text.pop("model_type")
    vision = dict(hidden_size=72, intermediate_size=104, num_hidden_layers=2, num_attention_heads=4, image_size=28, patch_size=7,
                  vision_output_dim=88, projector_input_dim=88, projector_output_dim=88)
    variants = TIES + [
        ("no qk_norm", dict(use_qk_norm=False)),
        ("attention_bias", dict(attention_bias=True)),
        ("interleave 2", dict(interleave_moe_layer_step=2)),
        ("moe_layers", dict(moe_layers=[0, 3])),
        ("no moe_layers", dict(moe_layers=[])),
        ("no head_dim", dict(head_dim=NO_KEY)),
        ("kv all", dict(num_key_value_heads=6)),
    ]
    cases += dense_cases("llama4_text", text, variants)
    cases += [(f"llama4 {name}", dict(model_type="llama4", text_config=merge(text, change), vision_config=vision))
              for name, change in variants]
    cases.append(("llama4 text defaults", dict(model_type="llama4", text_config=merge(ROUND, dict(num_attention_heads=40, num_local_experts=3, pad_token_id=0)), vision_config=vision)))
    oss = merge(DENSE, dict(num_key_value_heads=2, head_dim=20, num_local_experts=3, num_experts_per_tok=2))
    cases += dense_cases("gpt_oss", oss, TIES + [
        ("no attention_bias", dict(attention_bias=False)),
        ("no head_dim", dict(head_dim=NO_KEY)),
        ("num_experts", dict(num_local_experts=NO_KEY, num_experts=5)),
        ("layer_types", dict(layer_types=["full_attention", "full_attention"])),
    ])
    cases.append(("gpt_oss defaults", merge(ROUND, dict(model_type="gpt_oss", num_hidden_layers=3, num_local_experts=3, num_experts_per_tok=2))))
    return cases


def dtype_name(tensor):
    return str(tensor.dtype).removeprefix("torch.")


def persistent_names(model):
    return set(model.state_dict().keys())


def ordered_buffers(model):
    """Gemma 3 walks over a set of layer types, so the order of its rotary buffers changes from one run of Python to the next
    (modeling_gemma3.py, Gemma3RotaryEmbedding). Here: full attention first."""
    buffers = list(model.named_buffers())
    full = [b for b in buffers if ".rotary_emb.full_attention_" in b[0]]
    sliding = [b for b in buffers if ".rotary_emb.sliding_attention_" in b[0]]
    others = [b for b in buffers if ".rotary_emb.full_attention_" not in b[0] and ".rotary_emb.sliding_attention_" not in b[0]]
    return others + full + sliding


def describe(name, config):
    parsed = CONFIG_MAPPING[config["model_type"]].from_dict(json.loads(json.dumps(config)))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(parsed, dtype=torch.bfloat16)
    kept = persistent_names(model)
    plan = model._get_dtype_plan(torch.bfloat16)
    params = [[n, list(p.shape)] for n, p in model.named_parameters()]
    odd = [n for n, p in model.named_parameters() if p.dtype != torch.bfloat16]
    assert not odd, (name, odd)
    buffers = []
    for n, b in ordered_buffers(model):
        is_kept = n in kept
        in_fp32 = is_kept and any(word in n for word in plan)
        buffers.append([n, list(b.shape), "float32" if in_fp32 else dtype_name(b), is_kept])
    classes = {type(m).__name__ for m in model.modules()}
    # As if the model had been read from a checkpoint of the hub: prefixes that were dropped come back.
    model._weight_conversions = get_model_conversion_mapping(model, add_legacy=False)
    ties = dict(sorted(model.all_tied_weights_keys.items()))
    once = {n: t for n, t in model.state_dict().items() if n not in ties}
    stored = [[n, list(t.shape)] for n, t in revert_weight_conversion(model, once).items()]
    out = dict(
        name=name,
        model_type=config["model_type"],
        config=json.dumps(config),
        **{"class": type(model).__name__},
        params=params,
        buffers=buffers,
        tied=ties,
        no_split=sorted(set(model._no_split_modules) & classes),
    )
    if {n for n, _ in stored} != set(once):
        out["stored"] = stored
    return out


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip().splitlines()[2])
    cases = llama_like() + gemma_like() + older() + experts() + latent() + newest()
    assert len({name for name, _ in cases}) == len(cases)
    built = []
    for name, config in cases:
        try:
            built.append(describe(name, config))
        except Exception as error:
            sys.exit(f"{name}: {error!r}")
    about = f"Transformers {transformers.__version__}, by tests/tools/make_module_vectors.py; {len(built)} configs"
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in built)
    text = '{"about":' + json.dumps(about) + ',"cases":[\n' + lines + "\n]}\n"
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as out:
        out.write(text.encode())
    with open(sys.argv[1], "wb") as file:
        file.write(raw.getvalue())
    print(f"{about}; {len(text)} bytes, {len(raw.getvalue())} compressed")


main()
