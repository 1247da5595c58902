vramscope sim llama-2-7b --dtype bf16 --gpu rtx-4090
