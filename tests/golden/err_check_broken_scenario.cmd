cd "$TMP" && vramscope sim qwen3-0.6b --gpu 8GiB --tape run.tape >/dev/null && echo '{"model": "qwen3-0.6b", "dtyp": "bf16"}' >plan.json && vramscope check run.tape --against plan.json
