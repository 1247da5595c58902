vramscope sim qwen3-0.6b --svg a.png
