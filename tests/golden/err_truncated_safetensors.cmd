cd "$TMP" && printf "\\010\\000\\000\\000\\000\\000\\000\\000{}" >short.safetensors && vramscope inspect short.safetensors
