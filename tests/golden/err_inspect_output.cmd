vramscope inspect llama-2-7b --csv "$TMP/a.csv"; ls "$TMP"; vramscope sim llama-2-7b --tensors; vramscope compare llama-2-7b --tensors
