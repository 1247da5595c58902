vramscope sim qwen2.5-0.5b --gpu 8GiB --csv - | cut -d, -f1 | sort -n | head -n 3; vramscope compare qwen2.5-0.5b --gpu 8GiB
