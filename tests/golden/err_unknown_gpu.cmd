vramscope sim llama-2-7b --gpu rtx-4091
