vramscope sim llama-2-7b --gpu rtx-4090 --gpu-used 23.5GiB
