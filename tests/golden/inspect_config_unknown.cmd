cd "$TMP" && echo '{"model_type": "qwen9_moe"}' > config.json && vramscope inspect config.json
