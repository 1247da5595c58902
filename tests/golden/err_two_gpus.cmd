vramscope sim llama-2-7b --gpu rtx-4090 --gpu rtx-3090
