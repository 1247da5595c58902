LC_ALL=C.UTF-8 vramscope sim qwen2.5-0.5b --gpu 8GiB
