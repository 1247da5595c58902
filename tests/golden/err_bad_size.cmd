vramscope sim llama-2-7b --gpu 24XiB
